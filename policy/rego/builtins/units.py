"""Quantities with units: 10Ki, 1.5GB, 200m."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

from policy.rego import big_float, numerals
from policy.rego.builtins.arithmetic import bounded
from policy.rego.values import UNDEFINED

_PREFIXES = "kmgtpe"
_BYTES = {
    "": 1,
    **{f"{prefix}{rest}": 1000**power for power, prefix in enumerate(_PREFIXES, 1) for rest in ("", "b")},
    **{f"{prefix}{rest}": 1024**power for power, prefix in enumerate(_PREFIXES, 1) for rest in ("i", "ib")},
}
_UNITS = {
    "m": Fraction(0.001),  # the double, as OPA has it
    "": Fraction(1),
    "M": Fraction(1000**2),
    **{
        one: Fraction(1000**power)
        for power, prefix in enumerate(_PREFIXES, 1)
        if prefix != "m"
        for one in (prefix, prefix.upper())
    },
    **{
        f"{one}i": Fraction(1024**power)
        for power, prefix in enumerate(_PREFIXES, 1)
        for one in (prefix, prefix.upper())
    },
}
_AMOUNT = re.compile(r"(?:[0-9.+-]|[eE][+-]|[eE](?=[0-9]))*")
_NUMBER = re.compile(r"([+-]?)(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?")
_PLACES = Decimal("1e-10")


def parse_bytes(text: Any) -> Any:
    """Bytes in a text such as `10KB` or `1.5 GiB` without the space: KB is 1000, KiB or Ki is 1024."""
    parts = _split(text.lower()) if type(text) is str else None
    if parts is None or parts[1] not in _BYTES:
        return UNDEFINED
    amount = big_float.parse(parts[0])
    return bounded(big_float.truncated(big_float.multiply(amount, big_float.parse(str(_BYTES[parts[1]])))))


def parse(text: Any) -> Any:
    """A number with an SI unit, `m` for a thousandth to `E`, or a binary one, `Ki` to `Ei`."""
    parts = _split(text) if type(text) is str else None
    if parts is None:
        return UNDEFINED
    unit = parts[1][:1] + parts[1][1:].lower()
    return _quantity(Fraction(parts[0]) * _UNITS[unit]) if unit in _UNITS else UNDEFINED


def _split(text: str) -> tuple[str, str] | None:
    """Amount and unit; nothing if the amount is no number, or one too large."""
    text = text.replace('"', "")
    found = _AMOUNT.match(text)
    amount = found[0] if found else ""
    number = _NUMBER.fullmatch(amount)
    if " " in text or number is None or len(amount) > numerals.MAX_DIGITS // 2:
        return None
    if abs(int(number[4] or 0)) > numerals.MAX_DIGITS // 2:
        return None
    return amount, text[len(amount) :]


def _quantity(value: Fraction) -> Any:
    if value.denominator == 1:
        return bounded(value.numerator)
    digits = f"{_half_away(abs(value) * 10**10):011d}"
    return numerals.number(f"{'-' if value < 0 else ''}{digits[:-10]}.{digits[-10:]}")


def _half_away(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


BUILTINS = {"units.parse": parse, "units.parse_bytes": parse_bytes}
