"""Arithmetic. Integers are exact; anything else is a double, where OPA computes with more digits."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from policy.rego.values import UNDEFINED, RegoSet

MAX_BITS = 65_536  # a longer integer is undefined: a policy must not be made to eat memory


def number(value: Any) -> bool:
    """Whether it is a number; a boolean is none."""
    return type(value) is int or type(value) is float


def whole(value: Any) -> Any:
    """The integer that a number is, or undefined."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else UNDEFINED


def _finite(value: Any) -> Any:
    if type(value) is int:
        return value if value.bit_length() <= MAX_BITS else UNDEFINED
    return value if math.isfinite(value) else UNDEFINED


def _binary(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def builtin(a: Any, b: Any) -> Any:
        if not number(a) or not number(b):
            return UNDEFINED
        try:
            return _finite(operation(a, b))
        except (ZeroDivisionError, OverflowError):
            return UNDEFINED

    return builtin


def _unary(operation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: operation(value) if number(value) else UNDEFINED


def minus(a: Any, b: Any) -> Any:
    """Difference of numbers or of sets."""
    if type(a) is RegoSet and type(b) is RegoSet:
        return RegoSet.of_keys(a.keys - b.keys)
    return _subtract(a, b)


def _divide(a: Any, b: Any) -> Any:
    if type(a) is int and type(b) is int and a % b == 0:
        return a // b
    return a / b


def rem(a: Any, b: Any) -> Any:
    """Remainder with the dividend's sign, as Go has it; undefined for numbers that are not whole."""
    a, b = whole(a), whole(b)
    if a is UNDEFINED or b is UNDEFINED or b == 0:
        return UNDEFINED
    return int(math.copysign(abs(a) % abs(b), a)) if abs(a) < 1 << 50 else (abs(a) % abs(b)) * (1 if a > 0 else -1)


def _round(value: Any) -> int:
    return math.floor(abs(value) + 0.5) * (1 if value > 0 else -1) if type(value) is float else value


def _bits(operation: Callable[[int, int], int]) -> Callable[[Any, Any], Any]:
    def builtin(a: Any, b: Any) -> Any:
        a, b = whole(a), whole(b)
        return UNDEFINED if a is UNDEFINED or b is UNDEFINED else operation(a, b)

    return builtin


def _shift_left(a: int, by: int) -> Any:
    return _finite(a << by) if 0 <= by <= MAX_BITS else UNDEFINED


def _shift_right(a: int, by: int) -> Any:
    return a >> by if by >= 0 else UNDEFINED


def negate(value: Any) -> Any:
    """Bitwise complement."""
    value = whole(value)
    return UNDEFINED if value is UNDEFINED else ~value


_subtract = _binary(operator.sub)

BUILTINS: dict[str, Callable[..., Any]] = {
    "plus": _binary(operator.add),
    "minus": minus,
    "mul": _binary(operator.mul),
    "div": _binary(_divide),
    "rem": rem,
    "abs": _unary(abs),
    "round": _unary(_round),
    "ceil": _unary(math.ceil),
    "floor": _unary(math.floor),
    "bits.and": _bits(operator.and_),
    "bits.or": _bits(operator.or_),
    "bits.xor": _bits(operator.xor),
    "bits.lsh": _bits(_shift_left),
    "bits.rsh": _bits(_shift_right),
    "bits.negate": negate,
}
