"""Arrays."""

from __future__ import annotations

from typing import Any

from policy.rego.builtins.arithmetic import whole
from policy.rego.values import UNDEFINED


def concat(a: Any, b: Any) -> Any:
    """Both, one after the other."""
    return [*a, *b] if type(a) is list and type(b) is list else UNDEFINED


def flatten(array: Any) -> Any:
    """Elements, and the elements of those that are arrays, one level."""
    if type(array) is not list:
        return UNDEFINED
    return [inner for one in array for inner in (one if type(one) is list else [one])]


def reverse(array: Any) -> Any:
    """Last first."""
    return array[::-1] if type(array) is list else UNDEFINED


def slice_(array: Any, start: Any, stop: Any) -> Any:
    """Elements from start up to stop, both held within the array."""
    start, stop = whole(start), whole(stop)
    if type(array) is not list or start is UNDEFINED or stop is UNDEFINED:
        return UNDEFINED
    return array[max(start, 0) : max(stop, 0)]


BUILTINS = {"array.concat": concat, "array.flatten": flatten, "array.reverse": reverse, "array.slice": slice_}
