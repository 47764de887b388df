"""A JSON patch (RFC 6902) as it is read: operations of the right form, with paths in place of JSON pointers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from policy.data.json_pointer import Path, path_of
from policy.rego.values import UNDEFINED

Name = Literal["add", "remove", "replace", "move", "copy", "test"]

MAX_OPERATIONS = 5_000  # of one patch: they are done in one go, while nothing is decided

_NAMES = frozenset(get_args(Name))


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a patch. `value` is for add, replace and test, `source` for move and copy."""

    name: Name
    path: Path
    value: Any = UNDEFINED
    source: Path = ()


class PatchError(ValueError):
    """An operation of a patch cannot be done; nothing of the patch was. `index` counts from 0."""

    def __init__(self, index: int, where: str, why: str):
        super().__init__(f"operation {index}{where and ' at '}{where}: {why}")
        self.index = index
        self.why = why


def read_patch(operations: Any) -> list[Operation]:
    """Read decoded JSON. Raises PatchError for what is no patch; members that no operation has are ignored."""
    if not isinstance(operations, list):
        raise PatchError(0, "", "a patch is an array of operations")
    if len(operations) > MAX_OPERATIONS:
        raise PatchError(MAX_OPERATIONS, "", f"a patch has at most {MAX_OPERATIONS} operations")
    return [_operation(index, operation) for index, operation in enumerate(operations)]


def _operation(index: int, given: Any) -> Operation:
    if not isinstance(given, dict):
        raise PatchError(index, "", "an operation is an object")
    name, where = given.get("op"), given.get("path")
    if not isinstance(name, str) or name not in _NAMES:
        raise PatchError(index, "", f"op is none of {', '.join(get_args(Name))}")
    path = _path(index, "path", where)
    if name in ("add", "replace", "test") and "value" not in given:
        raise PatchError(index, str(where), f"{name} needs a value")
    source = _path(index, "from", given.get("from")) if name in ("move", "copy") else ()
    return Operation(name, path, given.get("value", UNDEFINED), source)  # type: ignore[arg-type]


def _path(index: int, member: str, pointer: Any) -> Path:
    if not isinstance(pointer, str):
        raise PatchError(index, "", f"{member} is no JSON pointer")
    try:
        return path_of(pointer)
    except ValueError as error:
        raise PatchError(index, pointer, str(error)) from error
