"""Functions of a whole collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.rego.builtins.arithmetic import BUILTINS as ARITHMETIC
from policy.rego.values import UNDEFINED, RegoSet, ordered, unkey


def count(value: Any) -> Any:
    """Elements of a collection, characters of a text."""
    return len(value) if type(value) in (list, dict, RegoSet, str) else UNDEFINED


def elements(value: Any) -> Any:
    """An array's or set's elements, in no order, or undefined."""
    if type(value) is RegoSet:
        return [unkey(item) for item in value.keys]
    return value if type(value) is list else UNDEFINED


def _fold(name: str, start: int) -> Callable[[Any], Any]:
    operation: Callable[[Any, Any], Any] = ARITHMETIC[name]

    def builtin(collection: Any) -> Any:
        found, result = elements(collection), start
        if found is UNDEFINED:
            return UNDEFINED
        for value in found:
            result = operation(result, value)
        return result

    return builtin


def _pick(at: int) -> Callable[[Any], Any]:
    def builtin(collection: Any) -> Any:
        found = elements(collection)
        return ordered(found)[at] if found is not UNDEFINED and found else UNDEFINED

    return builtin


def sort(collection: Any) -> Any:
    """Elements in Rego's order, as an array."""
    found = elements(collection)
    return UNDEFINED if found is UNDEFINED else ordered(found)


BUILTINS = {
    "count": count,
    "sum": _fold("plus", 0),
    "product": _fold("mul", 1),
    "max": _pick(-1),
    "min": _pick(0),
    "sort": sort,
}
