"""Numbers from and to text, and ranges of them."""

from __future__ import annotations

import re
from typing import Any

from policy.rego.builtins.arithmetic import whole
from policy.rego.values import UNDEFINED

MAX_RANGE = 1_000_000  # elements; a longer range is undefined
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_DIGITS = "0123456789abcdef"


def to_number(value: Any) -> Any:
    """Number of a number, text, boolean or null."""
    if value is None or type(value) is bool:
        return int(bool(value))
    if type(value) is str:
        return parse(value)
    return value if type(value) is int or type(value) is float else UNDEFINED


def parse(text: str) -> Any:
    """A JSON number's value, or undefined."""
    found = _NUMBER.fullmatch(text)
    if not found or len(text) > 1000:
        return UNDEFINED
    if not found[2] and not found[3]:
        return int(text)
    value = float(text)
    return value if value - value == 0 else UNDEFINED


def format_int(value: Any, base: Any) -> Any:
    """Digits of a number, less its fraction, in base 2, 8, 10 or 16."""
    if base not in (2, 8, 10, 16) or type(value) not in (int, float):
        return UNDEFINED
    rest, digits = abs(int(value)), ""
    while rest or not digits:
        rest, digit = divmod(rest, int(base))
        digits = _DIGITS[digit] + digits
    return f"-{digits}" if int(value) < 0 else digits


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
