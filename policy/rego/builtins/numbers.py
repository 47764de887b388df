"""Numbers from and to text, and ranges of them."""

from __future__ import annotations

import re
from typing import Any

from policy.rego import big_float, numerals
from policy.rego.builtins.arithmetic import big, bounded, number, small, whole
from policy.rego.values import UNDEFINED

MAX_RANGE = 1_000_000  # elements; a longer range is undefined
_DECIMAL = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)(?:(\.)([0-9]*))?([eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(r"[+-]?0[xX](?=\.?[0-9a-fA-F])[0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]{1,4}")
_MISPLACED = re.compile("^_|_$|_[^0-9]|[^0-9]_")  # an underscore stands between two digits
_FORMATS = {2: "b", 8: "o", 10: "d", 16: "x"}


def to_number(value: Any) -> Any:
    """Number of a number, text, boolean or null."""
    if value is None or type(value) is bool:
        return int(bool(value))
    if type(value) is str:
        return parse(value)
    return value if number(value) else UNDEFINED


def parse(text: str) -> Any:
    """The number that a text is by Go's rules for a `float64`, or undefined."""
    if len(text) > numerals.MAX_DIGITS or ("_" in text and _MISPLACED.search(text)):
        return UNDEFINED
    text = text.replace("_", "")
    found = _DECIMAL.fullmatch(text)
    try:
        if found is None:
            return _hexadecimal(text)
        value = numerals.number(_as_json(found))
    except ValueError:
        return UNDEFINED
    return UNDEFINED if float(text) in (float("inf"), float("-inf")) else value


def _as_json(found: re.Match[str]) -> str:
    sign, integer, point, fraction, exponent = found.groups("")
    decimals = f".{fraction or '0'}" if point else ""
    return f"{sign.rstrip('+')}{integer.lstrip('0') or '0'}{decimals}{exponent}"


def _hexadecimal(text: str) -> Any:
    try:
        value = float.fromhex(text) if _HEXADECIMAL.fullmatch(text) else None
    except OverflowError:
        return UNDEFINED
    if value is None:
        return UNDEFINED
    return int(value) if value.is_integer() else numerals.from_python(value)


def format_int(value: Any, base: Any) -> Any:
    """Digits of a number, less its fraction, in base 2, 8, 10 or 16."""
    if type(base) is not int or base not in _FORMATS or not number(value):
        return UNDEFINED
    integer = value if type(value) is int else _integer(value, base)
    return UNDEFINED if integer is UNDEFINED else format(integer, _FORMATS[base])


def _integer(value: Any, base: int) -> Any:
    if base == 10 and (found := small(value)) is not UNDEFINED:
        return found
    found = big(value)
    return UNDEFINED if found is None else bounded(big_float.truncated(found))


def numbers_range(first: Any, last: Any) -> Any:
    """Integers from first to last, both included, in either direction."""
    return numbers_range_step(first, last, 1)


def numbers_range_step(first: Any, last: Any, step: Any) -> Any:
    """The same, in steps above zero."""
    first, last, step = whole(first), whole(last), whole(step)
    if UNDEFINED in (first, last, step) or step <= 0 or abs(last - first) // step >= MAX_RANGE:
        return UNDEFINED
    return list(range(first, last + 1, step) if first <= last else range(first, last - 1, -step))


BUILTINS = {
    "to_number": to_number,
    "format_int": format_int,
    "numbers.range": numbers_range,
    "numbers.range_step": numbers_range_step,
}
