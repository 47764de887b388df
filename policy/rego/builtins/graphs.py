"""Graphs, as objects of a node and its neighbours, an array or set; and walks through documents."""

from __future__ import annotations

from typing import Any

from policy.rego.builtins.operands import MAX_ELEMENTS
from policy.rego.values import UNDEFINED, RegoSet, key, scan, unkey

MAX_STEPS = 1_000_000  # along all the paths, which may be many more than the nodes; more are undefined


def _nodes(value: Any) -> list[Any]:
    """Neighbours as keys; none of any value that is no array or set."""
    if type(value) is RegoSet:
        return list(value.keys)
    return [key(one) for one in value] if type(value) is list else []


def reachable(graph: Any, start: Any) -> Any:
    """Set of the graph's nodes that are reached from the starting ones."""
    if type(graph) is not dict or type(start) not in (list, RegoSet):
        return UNDEFINED
    waiting = _nodes(start)
    reached: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node in graph and node not in reached:
            reached.add(node)
            waiting.extend(_nodes(graph[node]))
    return RegoSet.of_keys(reached)


def reachable_paths(graph: Any, start: Any) -> Any:
    """Set of the longest paths from the starting nodes, as arrays; where one comes back to its own nodes, it ends."""
    if type(graph) is not dict or type(start) not in (list, RegoSet):
        return UNDEFINED
    found, steps = RegoSet(), 0
    waiting = [[node] for node in _nodes(start) if node in graph]
    while waiting:
        path = waiting.pop()
        neighbours = _nodes(graph[path[-1]])
        steps += len(path) * (len(neighbours) + 1)
        if steps > MAX_STEPS:
            return UNDEFINED
        # As in OPA, only what comes after the second node is held against those before it.
        onward = [node for node in neighbours if node in graph and (len(path) == 1 or node not in path)]
        waiting += [[*path, node] for node in onward]
        if len(onward) < len(neighbours) or not neighbours:
            found.add([unkey(node) for node in path])
    return found


def walk(value: Any) -> Any:
    """Every `[path, value]` in a document, as an array, each value before those that it holds."""
    found: list[Any] = []
    waiting: list[tuple[list[Any], Any]] = [([], value)]
    while waiting and len(found) <= MAX_ELEMENTS:
        path, held = waiting.pop()
        found.append([path, held])
        waiting += reversed([([*path, at], inner) for at, inner in scan(held)])
    return found if len(found) <= MAX_ELEMENTS else UNDEFINED


BUILTINS = {"graph.reachable": reachable, "graph.reachable_paths": reachable_paths, "walk": walk}
