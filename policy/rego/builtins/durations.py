"""Durations as Go writes them ("1h30m", "-1.5s"), and OPA's days, weeks and years."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from policy.rego.values import UNDEFINED

_SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_HOURS = {"d": 24, "w": 7 * 24, "y": 365 * 24}
_LIMIT = 1 << 63
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")
_EXTENDED = re.compile(r"([0-9.]+)(ms|us|µs|ns|[a-z])")


def parse_duration_ns(text: Any) -> Any:
    """Nanoseconds of a duration."""
    if type(text) is not str:
        return UNDEFINED
    sign, rest = (text[0], text[1:]) if text[:1] in ("-", "+") else ("", text)
    try:
        amount = _amount(_in_hours(rest) if re.search("[dwy]", text) else rest)
    except (ValueError, OverflowError):
        return UNDEFINED
    nanoseconds = -amount if sign == "-" else amount
    return nanoseconds if nanoseconds < _LIMIT else UNDEFINED


def _in_hours(text: str) -> str:
    """Days, weeks and years written as hours."""
    parts = _all_parts(_EXTENDED, text)
    return "".join(_hours(digits, _HOURS[unit]) if unit in _HOURS else digits + unit for digits, unit in parts)


def _hours(digits: str, hours: int) -> str:
    amount = float(digits) * hours
    return f"{Decimal(repr(amount)):f}h".replace(".0h", "h")


def _all_parts(expression: re.Pattern[str], text: str) -> list[tuple[str, ...]]:
    parts = list(expression.finditer(text))
    if not parts or sum(len(part.group()) for part in parts) != len(text):
        raise ValueError("no duration")
    return [part.groups("") for part in parts]


def _amount(text: str) -> int:
    if text == "0":
        return 0
    total = 0
    for whole, fraction, unit in _all_parts(_PART, text):
        if not whole and not fraction:
            raise ValueError("no digits")
        if len(whole) > 4000:
            raise ValueError("too long")
        total += int(whole or "0") * _unit(unit) + _fraction(fraction, _unit(unit))
        if total > _LIMIT:
            raise ValueError("too long")
    return total


def _unit(name: str) -> int:
    if name not in _UNITS:
        raise ValueError(f"unknown unit {name}")
    return _UNITS[name]


def _fraction(digits: str, unit: int) -> int:
    """Part of a unit, computed in doubles as Go does."""
    number, scale = 0, 1.0
    for digit in digits:
        if number > (_LIMIT - 1) // 10 or number * 10 + int(digit) > _LIMIT:
            break
        number, scale = number * 10 + int(digit), scale * 10
    return int(float(number) * (float(unit) / scale))
