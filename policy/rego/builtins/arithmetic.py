"""Arithmetic. Integers are exact; other numbers have OPA's 64 bits of precision (see big_float.py)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from policy.rego import big_float, numerals
from policy.rego.big_float import Float
from policy.rego.values import UNDEFINED, RegoSet

_HALF = big_float.parse("0.5")
_NO_FLOAT = numerals.MAX_DIGITS  # a number with more digits before or after the point takes no part
_EXACT = 1 << big_float.BITS  # integers below it are the same as floats


def number(value: Any) -> bool:
    """Whether it is a number; a boolean is none."""
    kind = type(value)
    return kind is int or kind is float or isinstance(value, Decimal)


def whole(value: Any) -> Any:
    """The integer that a number is, or undefined."""
    if type(value) is int:
        return value
    if type(value) is float:
        return int(value) if value.is_integer() else UNDEFINED
    if not isinstance(value, Decimal) or (value and value.adjusted() >= numerals.MAX_DIGITS):
        return UNDEFINED
    integer = int(value)
    return integer if integer == value else UNDEFINED


def small(value: Any) -> Any:
    """The integer of at most 64 bits that OPA reads in a number (2 and 2.00, but not 2e0), or undefined."""
    found = numerals.small(value) if number(value) else None
    return UNDEFINED if found is None else found


def big(value: Any) -> Float | None:
    """A number as a float of 64 bits; none if it is too large or too small."""
    if isinstance(value, Decimal) and value and abs(value.adjusted()) >= _NO_FLOAT:
        return None
    return big_float.parse(numerals.written(value))


def from_big(value: Float, bits: int = big_float.BITS) -> Any:
    """The number whose text a float has, or undefined if it is too large or too small."""
    try:
        return numerals.number(big_float.text(value, bits))
    except ValueError:
        return UNDEFINED


def bounded(value: int) -> Any:
    """The integer, or undefined if it is too large: a policy must not be made to eat memory."""
    return value if numerals.bounded(value) else UNDEFINED


def _binary(exact: Callable[[int, int], int], inexact: Callable[[Float, Float], Float]) -> Callable[[Any, Any], Any]:
    def builtin(a: Any, b: Any) -> Any:
        if type(a) is int and type(b) is int:
            result = exact(a, b)
            return result if -_EXACT < result < _EXACT else bounded(result)
        left, right = whole(a), whole(b)
        if left is not UNDEFINED and right is not UNDEFINED:
            return bounded(exact(left, right))
        return _inexact(inexact, a, b) if number(a) and number(b) else UNDEFINED

    return builtin


def _inexact(operation: Callable[[Float, Float], Float], a: Any, b: Any) -> Any:
    left, right = big(a), big(b)
    return UNDEFINED if left is None or right is None else from_big(operation(left, right))


def minus(a: Any, b: Any) -> Any:
    """Difference of numbers or of sets."""
    if type(a) is RegoSet and type(b) is RegoSet:
        return RegoSet.of_keys(a.keys - b.keys)
    return _subtract(a, b)


def divide(a: Any, b: Any) -> Any:
    """Quotient, exact where it is an integer of at most 64 bits."""
    if not number(a) or not number(b) or not b:
        return UNDEFINED
    if type(a) is int and type(b) is int and a and a % b == 0 and -_EXACT < a < _EXACT:
        return a // b
    return _inexact(big_float.divide, a, b)


def remainder(a: Any, b: Any) -> Any:
    """Remainder with the dividend's sign; undefined for numbers that are not whole."""
    a, b = whole(a), whole(b)
    if a is UNDEFINED or b is UNDEFINED or b == 0:
        return UNDEFINED
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def _unary(exact: Callable[[int], int], inexact: Callable[[Float], Any]) -> Callable[[Any], Any]:
    def builtin(value: Any) -> Any:
        if type(value) is int and 2 * abs(value) < _EXACT:  # one bit is for the half of rounding
            return exact(value)
        found = big(value) if number(value) else None
        return UNDEFINED if found is None else inexact(found)

    return builtin


def _magnitude(value: Float) -> Any:
    return from_big(Float(False, value.mantissa, value.exponent))


def _rounded(value: Float) -> Any:
    away = big_float.subtract if value.negative else big_float.add
    return bounded(big_float.truncated(away(value, _HALF)))


def _ceiling(value: Float) -> Any:
    """As OPA has it: -0.5 goes up to 1."""
    cut = big_float.truncated(value)
    return bounded(cut if cut < 0 or _same(value, cut) else cut + 1)


def _floor(value: Float) -> Any:
    """As OPA has it: -0.5 goes up to 0."""
    cut = big_float.truncated(value)
    return bounded(cut if cut >= 0 or _same(value, cut) else cut - 1)


def _same(value: Float, integer: int) -> bool:
    return big_float.subtract(value, Float(integer < 0, abs(integer), 0)).mantissa == 0


def _itself(value: int) -> int:
    return value


def _bits(operation: Callable[[int, int], Any]) -> Callable[[Any, Any], Any]:
    def builtin(a: Any, b: Any) -> Any:
        a, b = whole(a), whole(b)
        return UNDEFINED if a is UNDEFINED or b is UNDEFINED else operation(a, b)

    return builtin


def _shift_left(a: int, by: int) -> Any:
    by = by % _EXACT if by >= 0 else -1
    if by < 0 or (a and by > 4 * numerals.MAX_DIGITS):
        return UNDEFINED
    return bounded(a << by) if a else 0


def _shift_right(a: int, by: int) -> Any:
    return a >> by % _EXACT if by >= 0 else UNDEFINED


def negate(value: Any) -> Any:
    """Bitwise complement."""
    value = whole(value)
    return UNDEFINED if value is UNDEFINED else ~value


plus = _binary(operator.add, big_float.add)
times = _binary(operator.mul, big_float.multiply)
_subtract = _binary(operator.sub, big_float.subtract)

BUILTINS: dict[str, Callable[..., Any]] = {
    "plus": plus,
    "minus": minus,
    "mul": times,
    "div": divide,
    "rem": remainder,
    "abs": _unary(abs, _magnitude),
    "round": _unary(_itself, _rounded),
    "ceil": _unary(_itself, _ceiling),
    "floor": _unary(_itself, _floor),
    "bits.and": _bits(operator.and_),
    "bits.or": _bits(operator.or_),
    "bits.xor": _bits(operator.xor),
    "bits.lsh": _bits(_shift_left),
    "bits.rsh": _bits(_shift_right),
    "bits.negate": negate,
}
