"""Types of values."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from policy.rego.numerals import Numeral
from policy.rego.values import UNDEFINED, RegoSet

_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    Numeral: "number",
    Decimal: "number",
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


def _cast(name: str) -> Callable[[Any], Any]:
    return lambda value: value if _NAMES[type(value)] == name else UNDEFINED


def cast_array(value: Any) -> Any:
    """An array, or a set's elements in Rego's order."""
    return list(value) if type(value) in (list, RegoSet) else UNDEFINED


def cast_set(value: Any) -> Any:
    """A set, or an array's elements."""
    return RegoSet(value) if type(value) is list else value if type(value) is RegoSet else UNDEFINED


def log(values: Any) -> bool:
    """`print(…)`: kept silent, since arguments may hold personal data."""
    return True


BUILTINS = {
    "type_name": type_name,
    "internal.print": log,
    "cast_array": cast_array,
    "cast_set": cast_set,
    **{f"cast_{name}": _cast(name) for name in ("string", "boolean", "null", "object")},
    **{f"is_{name}": _is(name) for name in ("null", "boolean", "number", "string", "array", "object", "set")},
}
