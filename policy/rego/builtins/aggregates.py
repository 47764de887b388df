"""Functions of a whole collection."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from policy.rego import big_float
from policy.rego.big_float import Float
from policy.rego.builtins.arithmetic import big, bounded, from_big, number, whole
from policy.rego.values import UNDEFINED, RegoSet, order, ordered, unkey

_DOUBLE = 53  # bits; OPA multiplies a product's factors in as many


def count(value: Any) -> Any:
    """Elements of a collection, characters of a text."""
    return len(value) if type(value) in (list, dict, RegoSet, str) else UNDEFINED


def elements(value: Any) -> Any:
    """An array's or set's elements, in no order, or undefined."""
    if type(value) is RegoSet:
        return [unkey(item) for item in value.keys]
    return value if type(value) is list else UNDEFINED


def total(collection: Any) -> Any:
    """Sum of numbers."""
    found = elements(collection)
    if found is UNDEFINED:
        return UNDEFINED
    if all(type(one) is int for one in found):
        return bounded(sum(found))
    return _fold(collection, 0, operator.add, big_float.add, big_float.BITS)


def product(collection: Any) -> Any:
    """Product of numbers."""
    return _fold(collection, 1, operator.mul, partial(big_float.multiply, bits=_DOUBLE), _DOUBLE)


def _fold(
    collection: Any,
    start: int,
    exact: Callable[[int, int], int],
    inexact: Callable[[Float, Float], Float],
    bits: int,
) -> Any:
    """Exact if all numbers are integers; otherwise all are taken as floats, in Rego's order."""
    if type(collection) not in (list, RegoSet):
        return UNDEFINED
    result: Any = start
    for one in collection:
        if not number(one):
            return UNDEFINED
        integer = whole(one)
        if integer is UNDEFINED:
            return _fold_floats(collection, Float(False, start, 0), inexact, bits)
        result = bounded(exact(result, integer))
        if result is UNDEFINED:
            return UNDEFINED
    return result


def _fold_floats(collection: Any, result: Float, operation: Callable[[Float, Float], Float], bits: int) -> Any:
    for one in collection:
        found = big(one) if number(one) else None
        if found is None:
            return UNDEFINED
        result = operation(result, found)
    return from_big(result, bits)


def _pick(best: Callable[..., Any]) -> Callable[[Any], Any]:
    def builtin(collection: Any) -> Any:
        found = elements(collection)
        if found is UNDEFINED or not found:
            return UNDEFINED
        kinds = set(map(type, found))
        plain = kinds == {str} or kinds <= {int, float}
        return best(reversed(found), key=None if plain else order)  # the last of equals, as OPA

    return builtin


def sort(collection: Any) -> Any:
    """Elements in Rego's order, as an array."""
    found = elements(collection)
    return UNDEFINED if found is UNDEFINED else ordered(found)


def all_true(collection: Any) -> Any:
    """Whether all elements are true."""
    found = elements(collection)
    return UNDEFINED if found is UNDEFINED else all(one is True for one in found)


def any_true(collection: Any) -> Any:
    """Whether an element is true."""
    found = elements(collection)
    return UNDEFINED if found is UNDEFINED else any(one is True for one in found)


BUILTINS = {
    "count": count,
    "sum": total,
    "product": product,
    "max": _pick(max),
    "min": _pick(min),
    "sort": sort,
    "all": all_true,
    "any": any_true,
}
