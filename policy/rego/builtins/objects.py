"""Objects."""

from __future__ import annotations

from typing import Any

from policy.rego.values import UNDEFINED, RegoSet, dot, equal, key, merged


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
        return _runs(whole, part)
    if type(whole) is list and type(part) is RegoSet:
        return _among(whole, part)
    return UNDEFINED


def _within(whole: Any, part: Any) -> bool:
    if whole is UNDEFINED:
        return False
    found = subset(whole, part) if type(whole) is type(part) else UNDEFINED
    return equal(whole, part) if found is UNDEFINED else bool(found)


def _among(array: list[Any], part: RegoSet) -> bool:
    # As OPA counts: an element that the array holds twice counts twice, and nothing lies in an empty array.
    found = sum(key(one) in part.keys for one in array)
    return bool(array) and found >= len(part.keys)


def _runs(array: list[Any], part: list[Any]) -> bool:
    """Whether part is found in one piece, in time linear in both (Knuth, Morris and Pratt)."""
    sought = [key(one) for one in part]
    retreats = _retreats(sought)
    matched = 0
    for one in map(key, array):
        while matched and sought[matched] != one:
            matched = retreats[matched - 1]
        matched += bool(sought) and sought[matched] == one
        if matched == len(sought):
            return True
    return not sought


def _retreats(sought: list[Any]) -> list[int]:
    """For each beginning, the length of its longest end that is a beginning too."""
    retreats = [0] * len(sought)
    matched = 0
    for at in range(1, len(sought)):
        while matched and sought[matched] != sought[at]:
            matched = retreats[matched - 1]
        matched += sought[matched] == sought[at]
        retreats[at] = matched
    return retreats


BUILTINS = {
    "object.get": get,
    "object.keys": keys,
    "object.remove": remove,
    "object.filter": keep,
    "object.union": union,
    "object.union_n": union_n,
    "object.subset": subset,
}
