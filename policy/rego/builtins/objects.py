"""Objects."""

from __future__ import annotations

from typing import Any

from policy.rego.values import UNDEFINED, RegoSet, dot, equal, key, merged, unkey


def get(source: Any, at: Any, default: Any) -> Any:
    """Value at a key, or at a path given as an array, or the default."""
    if type(source) is not dict:
        return UNDEFINED
    if type(at) is not list:
        return source.get(key(at), default)
    for step in at:
        source = dot(source, step)
        if source is UNDEFINED:
            return default
    return source


def keys(source: Any) -> Any:
    """Set of keys."""
    return RegoSet.of_keys(set(source)) if type(source) is dict else UNDEFINED


def _chosen(names: Any) -> Any:
    if type(names) is RegoSet:
        return names.keys
    if type(names) is dict:
        return set(names)
    return {key(name) for name in names} if type(names) is list else UNDEFINED


def remove(source: Any, names: Any) -> Any:
    """The object less some keys: an array, a set, or an object's keys."""
    chosen = _chosen(names)
    if type(source) is not dict or chosen is UNDEFINED:
        return UNDEFINED
    return {item: value for item, value in source.items() if item not in chosen}


def keep(source: Any, names: Any) -> Any:
    """`object.filter`: only these keys."""
    chosen = _chosen(names)
    if type(source) is not dict or chosen is UNDEFINED:
        return UNDEFINED
    return {item: value for item, value in source.items() if item in chosen}


def union(a: Any, b: Any) -> Any:
    """Both, recursively; the second wins."""
    return merged(b, a) if type(a) is dict and type(b) is dict else UNDEFINED


def union_n(objects: Any) -> Any:
    """All of an array, the last wins."""
    if type(objects) is not list or not all(type(one) is dict for one in objects):
        return UNDEFINED
    result: Any = {}
    for one in objects:
        result = merged(one, result)
    return result


def subset(whole: Any, part: Any) -> Any:
    """Whether part lies in whole: objects recursively, sets, arrays as a run, an array holding a set."""
    if type(whole) is dict and type(part) is dict:
        return all(_within(whole.get(item, UNDEFINED), value) for item, value in part.items())
    if type(whole) is RegoSet and type(part) is RegoSet:
        return part.keys <= whole.keys
    if type(whole) is list and type(part) is list:
        return any(equal(whole[at : at + len(part)], part) for at in range(len(whole) - len(part) + 1))
    if type(whole) is list and type(part) is RegoSet:
        return part.keys <= {key(one) for one in whole}
    return UNDEFINED


def _within(whole: Any, part: Any) -> bool:
    if whole is UNDEFINED:
        return False
    found = subset(whole, part)
    return equal(whole, part) if found is UNDEFINED else bool(found)


def reachable(graph: Any, start: Any) -> Any:
    """Set of the nodes reached from the starting ones; the graph is an object of node and neighbours."""
    if type(graph) is not dict or type(start) not in (list, RegoSet):
        return UNDEFINED
    waiting = list(_chosen(start))
    reached: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node in graph and node not in reached:
            reached.add(node)
            near = graph[node]
            waiting.extend(_chosen(near) if type(near) in (list, RegoSet) else ())
    return RegoSet.of_keys(reached)


def walk(value: Any) -> Any:
    """Every `[path, value]` in a document, as an array."""
    return list(_walk([], value))


def _walk(path: list[Any], value: Any) -> Any:
    yield [path, value]
    if type(value) is dict:
        items = [(unkey(item), held) for item, held in value.items()]
    elif type(value) is RegoSet:
        items = [(one, one) for one in value]
    else:
        items = list(enumerate(value)) if type(value) is list else []
    for at, held in items:
        yield from _walk([*path, at], held)


BUILTINS = {
    "object.get": get,
    "object.keys": keys,
    "object.remove": remove,
    "object.filter": keep,
    "object.union": union,
    "object.union_n": union_n,
    "object.subset": subset,
    "graph.reachable": reachable,
    "walk": walk,
}
