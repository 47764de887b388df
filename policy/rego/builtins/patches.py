"""`json.patch`: RFC 6902 on documents with sets in them, and with paths as arrays too.

OPA 1.22 goes into the wrong element of an array, and puts it in place of the right one, once elements before it were
added or removed. Here the path means the document as it is by then, as the RFC says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from policy.rego import numerals
from policy.rego.builtins import paths
from policy.rego.builtins.arithmetic import number
from policy.rego.builtins.paths import Path
from policy.rego.values import MAX_DEPTH, UNDEFINED, RegoSet, dot, equal, key

MAX_ADDED = 1_000_000  # values that the operations of one patch may add, those within counted
_INDEX = re.compile(r"(?!0.)[+-]?(?=.{1,19}\Z)[0-9]*\.?0*")


class _Refused(Exception):
    """The operation does not fit the document."""


def patch(source: Any, operations: Any) -> Any:
    """The document changed by the operations in turn; undefined if one of them does not fit."""
    if type(operations) is not list:
        return UNDEFINED
    left = [MAX_ADDED]
    try:
        for operation in operations:
            source = _applied(source, operation, left)
    except _Refused:
        return UNDEFINED
    return source


def _applied(source: Any, operation: Any, left: list[int]) -> Any:
    if type(operation) is not dict or type(operation.get("op")) is not str:
        raise _Refused
    path = _path(operation, "path")
    match operation["op"]:
        case "add":
            return _added(source, path, _given(operation), left)
        case "remove":
            return _dropped(source, path)
        case "replace":
            return _added(_dropped(source, path), path, _given(operation), left)
        case "move":
            origin = _path(operation, "from")
            return _added(_dropped(source, origin), path, _found(source, origin), left)
        case "copy":
            return _added(source, path, _found(source, _path(operation, "from")), left)
        case "test" if equal(_found(source, path), _given(operation)):
            return source
    raise _Refused


def _path(operation: dict[Any, Any], name: str) -> Path:
    path = paths.parse(operation.get(name))
    if path is None or len(path) > MAX_DEPTH:
        raise _Refused
    return path


def _given(operation: dict[Any, Any]) -> Any:
    if "value" not in operation:
        raise _Refused
    return operation["value"]


def _found(value: Any, path: Path) -> Any:
    for step in path:
        value = dot(value, _index(value, step) if type(value) is list else step)
    if value is UNDEFINED:
        raise _Refused
    return value


def _added(source: Any, path: Path, value: Any, left: list[int]) -> Any:
    _weigh(value, MAX_DEPTH - len(path), left)
    return _changed(source, path, lambda held, step: _inserted(held, step, value)) if path else value


def _dropped(source: Any, path: Path) -> Any:
    if source is UNDEFINED:
        raise _Refused
    return _changed(source, path, _deleted) if path else UNDEFINED


def _weigh(value: Any, depth: int, left: list[int]) -> None:
    left[0] -= 1
    if left[0] < 0 or depth < 0:
        raise _Refused
    if type(value) is dict:
        for held in value.values():
            _weigh(held, depth - 1, left)
    elif type(value) is list:
        for held in value:
            _weigh(held, depth - 1, left)
    elif type(value) is RegoSet:
        left[0] -= len(value)


def _changed(value: Any, path: Path, change: Callable[[Any, Any], Any]) -> Any:
    """A copy with the collection that the last step is in changed."""
    step, rest = path[0], path[1:]
    if not rest:
        return change(value, step)
    inner = _changed(_found(value, (step,)), rest, change)
    if type(value) is list:
        at = _index(value, step)
        return [*value[:at], inner, *value[at + 1 :]]
    if type(value) is RegoSet:
        return RegoSet.of_keys(value.keys - {key(step)} | {key(inner)})
    return {**value, key(step): inner}


def _inserted(value: Any, step: Any, new: Any) -> Any:
    if type(value) is dict:
        return {**value, key(step): new}
    if type(value) is RegoSet and equal(step, new):
        return RegoSet.of_keys(value.keys | {key(new)})
    if type(value) is not list or not 0 <= (at := _index(value, step)) <= len(value):
        raise _Refused
    return [*value[:at], new, *value[at:]]


def _deleted(value: Any, step: Any) -> Any:
    _found(value, (step,))
    if type(value) is dict:
        return {item: held for item, held in value.items() if item != key(step)}
    if type(value) is RegoSet:
        return RegoSet.of_keys(value.keys - {key(step)})
    at = _index(value, step)
    return [*value[:at], *value[at + 1 :]]


def _index(array: list[Any], step: Any) -> int:
    """Place in an array; `-` is the one after the last."""
    if step == "-":
        return len(array)
    found = numerals.small(step) if number(step) else None
    if type(step) is str and _INDEX.fullmatch(step):
        found = int(step.partition(".")[0].lstrip("+") or 0)
    if found is None:
        raise _Refused
    return found


BUILTINS = {"json.patch": patch}
