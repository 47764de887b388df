"""Numbers and their texts. OPA keeps a number as it was written: 2.50 is printed as 2.50, 1e2 as 1e2, and all are
compared by value.

An `int` is any integer written as one; a `float` a decimal below 1e16 that is written as Python writes it (0.1, 1.0),
and it means what is written; every other number is a `Numeral`. None has more digits than Python reads at once.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

Number = int | float | Decimal

MAX_DIGITS: Final = 4300  # what Python reads and writes; no integer has more
_MAX_INTEGER: Final = 10**MAX_DIGITS
_MAX_TEXT: Final = MAX_DIGITS + 1  # characters, a sign among them
_MAX_FLOAT: Final = 1e16  # from here on `repr` may write another integer than the one the double holds
_MAX_EXPONENT: Final = 30_102  # OPA's limit is 2 to the power of 100,000
_SYNTAX: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SMALL: Final = re.compile(r"-?(?=.{1,19}\Z)([0-9]+)(?:\.0*)?")


class Numeral(Decimal):
    """A number that neither an int nor a float would print as it was written: 1e400, 2.50, 1e2, -0."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Numeral:
        """From a number's text."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Numeral({self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Numeral, (self.text,)


def number(text: str) -> Number:
    """The number that a JSON text is (RFC 8259, section 6). Raises ValueError if it is none, or one too large."""
    found = _SYNTAX.fullmatch(text)
    if found is None or len(text) > _MAX_TEXT:
        raise ValueError("not a number, or one of too many digits")
    return decimal(text) if found.lastindex else integer(text)


def integer(text: str) -> Number:
    """Of an integer's text: `-0` is no int. Raises ValueError for too many digits."""
    value = int(text)
    return value if value or text[0] != "-" else Numeral(text)


def decimal(text: str) -> float | Decimal:
    """Of the text of a number with a fraction or an exponent. Raises ValueError for one too large or too small."""
    value = float(text)
    if repr(value) == text and -_MAX_FLOAT < value < _MAX_FLOAT:
        return value
    try:
        numeral = Numeral(text)
    except InvalidOperation:
        raise ValueError("number too large") from None
    if len(text) > _MAX_TEXT or (numeral and abs(numeral.adjusted()) > _MAX_EXPONENT):
        raise ValueError("number too large")
    return numeral


def from_python(value: float | Decimal) -> float | Decimal:
    """A finite number of Python's own as Rego has it. Raises ValueError if it is not finite, or too large."""
    if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        raise ValueError(f"{value} is not a number")
    return value if type(value) is float and -_MAX_FLOAT < value < _MAX_FLOAT else decimal(str(value))


def bounded(value: int) -> bool:
    """Whether an integer has no more digits than it may."""
    return -_MAX_INTEGER < value < _MAX_INTEGER


def small(value: Number) -> int | None:
    """The integer of at most 64 bits that it is, where OPA sees one: in 2 and 2.00, but not in 2e0."""
    if type(value) is not int:
        found = _SMALL.fullmatch(written(value))
        if found is None:
            return None
        value = int(value)
    return value if -1 << 63 <= value < 1 << 63 else None


def written(value: Number) -> str:
    """A number's text."""
    return value.text if type(value) is Numeral else str(value)


def exact(value: Number) -> int | Decimal:
    """What is compared: a float means its text."""
    return Decimal(repr(value)) if type(value) is float else value  # type: ignore[return-value]


def hashed(value: Decimal) -> int:
    """The same for equal numbers, int and float too."""
    return hash(value) if value == value.to_integral_value() else hash(float(value))


def plain(value: Decimal) -> float | Decimal:
    """A double if one holds the number."""
    nearest = float(value)
    return nearest if Decimal(repr(nearest)) == value else value
