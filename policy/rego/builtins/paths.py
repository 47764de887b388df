"""Paths into documents, as `json.filter`, `json.remove` and `json.patch` take them."""

from __future__ import annotations

from typing import Any

from policy.rego.values import UNDEFINED, RegoSet, key

Path = tuple[Any, ...]


def parse(path: Any) -> Path | None:
    """Steps of a path: an array of them, or text with `/` between and `~0`, `~1` for `~` and `/`."""
    if type(path) is list:
        return tuple(path)
    if type(path) is not str:
        return None
    if not path:
        return ()
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in path.lstrip("/").split("/"))


def tree(paths: Any) -> Any:
    """Paths of an array or set as nested dicts by `key`, `None` where one ends: what it holds has no more steps."""
    if type(paths) is not list and type(paths) is not RegoSet:
        return UNDEFINED
    root: dict[Any, Any] = {}
    for one in paths:
        path = parse(one)
        if path is None:
            return UNDEFINED
        _add(root, path)
    return root


def _add(node: Any, path: Path) -> None:
    for step in path[:-1]:
        node = node.setdefault(key(step), {})
        if node is None:
            return
    if path:
        node[key(path[-1])] = None
