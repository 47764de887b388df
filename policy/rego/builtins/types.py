"""Types of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.rego.values import RegoSet

_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    RegoSet: "set",
}


def type_name(value: Any) -> str:
    """Rego's name of a value's type."""
    return _NAMES[type(value)]


def _is(name: str) -> Callable[[Any], bool]:
    return lambda value: _NAMES[type(value)] == name


def log(values: Any) -> bool:
    """`print(…)`: kept silent, since arguments may hold personal data."""
    return True


BUILTINS = {
    "type_name": type_name,
    "internal.print": log,
    **{f"is_{name}": _is(name) for name in ("null", "boolean", "number", "string", "array", "object", "set")},
}
