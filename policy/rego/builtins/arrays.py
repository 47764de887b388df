"""Arrays."""

from __future__ import annotations

from typing import Any

from policy.rego.builtins.operands import MAX_ELEMENTS, integer
from policy.rego.values import UNDEFINED


def concat(a: Any, b: Any) -> Any:
    """Both, one after the other."""
    if type(a) is not list or type(b) is not list or len(a) + len(b) > MAX_ELEMENTS:
        return UNDEFINED
    return [*a, *b]


def flatten(array: Any) -> Any:
    """Elements, and the elements of those that are arrays, one level."""
    if type(array) is not list or sum(len(one) if type(one) is list else 1 for one in array) > MAX_ELEMENTS:
        return UNDEFINED
    return [inner for one in array for inner in (one if type(one) is list else [one])]


def reverse(array: Any) -> Any:
    """Last first."""
    return array[::-1] if type(array) is list else UNDEFINED


def slice_(array: Any, start: Any, stop: Any) -> Any:
    """Elements from start up to stop, both held within the array."""
    start, stop = integer(start), integer(stop)
    if type(array) is not list or start is UNDEFINED or stop is UNDEFINED:
        return UNDEFINED
    return array[max(start, 0) : max(stop, 0)]


BUILTINS = {"array.concat": concat, "array.flatten": flatten, "array.reverse": reverse, "array.slice": slice_}
