"""What a plain YAML scalar means: YAML 1.2's core schema as go-yaml v3 has it, with octal `0777` and `1_000` of 1.1."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta
from typing import Final

from policy.rego.builtins.go_floats import digits
from policy.rego.builtins.layout_reader import parsed
from policy.rego.builtins.layouts import SECOND, Moment, formatted

Scalar = str | int | float | bool | None

NULL: Final = "!!null"
BOOL: Final = "!!bool"
INT: Final = "!!int"
FLOAT: Final = "!!float"
STR: Final = "!!str"
TIMESTAMP: Final = "!!timestamp"
_WORDS: Final[dict[str, tuple[str, Scalar]]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), (NULL, None)),
    **dict.fromkeys(("true", "True", "TRUE"), (BOOL, True)),
    **dict.fromkeys(("false", "False", "FALSE"), (BOOL, False)),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), (FLOAT, float("nan"))),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), (FLOAT, float("inf"))),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), (FLOAT, float("-inf"))),
}
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|[1-9][0-9]*|0)")
_REAL = re.compile(r"[+-]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-")
_DATES = (
    "2006-1-2T15:4:5.999999999Z07:00",
    "2006-1-2t15:4:5.999999999Z07:00",
    "2006-1-2 15:4:5.999999999",
    "2006-1-2",
)
_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})$")
_LONGEST = 1000  # digits of an integer; a longer one is a float


def resolved(text: str) -> tuple[str, Scalar]:
    """The short tag and the value of a plain scalar; a timestamp's value is its text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        return _real(text) or (STR, text)
    if text[0] not in "+-0123456789":
        return STR, text
    if _timestamp(text) is not None:
        return TIMESTAMP, text
    plain = text.replace("_", "")
    return _integer(plain) or _real(plain) or (STR, text)


def _integer(text: str) -> tuple[str, int] | None:
    if len(text) > _LONGEST or not _INTEGER.fullmatch(text):
        return None
    value = int(text, 0) if text.lstrip("+-")[:1] != "0" or not text.lstrip("+-").isdigit() else int(text, 8)
    most = 1 << 63 if text[0] in "+-" else 1 << 64
    return (INT, value) if -1 << 63 <= value < most else None


def _real(text: str) -> tuple[str, float] | None:
    value = float(text) if _REAL.fullmatch(text) else None
    return None if value is None or value in (float("inf"), float("-inf")) else (FLOAT, value)


def _timestamp(text: str) -> int | None:
    """Nanoseconds since 1970 of a date or time, or None."""
    if not _DATE.match(text):
        return None
    text = f"2000{text[4:]}" if text.startswith("0000") else text  # a leap year too, and one that has a date here
    return next((moment for layout in _DATES if (moment := parsed(layout, text)) is not None), None)


def timestamp_text(text: str) -> str:
    """A timestamp as JSON has it (RFC 3339). Raises ValueError for a year or an offset that it cannot write."""
    seconds, nanosecond = divmod(_timestamp(text) or 0, SECOND)
    found = _OFFSET.search(text)
    offset = (int(found[2]) * 3600 + int(found[3]) * 60) * (-1 if found[1] == "-" else 1) if found else 0
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds + offset)
    except OverflowError:
        raise ValueError("year out of range") from None
    if text.startswith("0000") or abs(offset) >= 86_400:
        raise ValueError("year or offset out of range")
    return formatted("RFC3339Nano", Moment(*at.timetuple()[:6], nanosecond, offset, ""))


def float_text(value: float) -> str:
    """A double as YAML writes it."""
    if value != value or value in (float("inf"), float("-inf")):
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    return ("-" if str(value)[0] == "-" else "") + digits("g", abs(value), None, sharp=False)


def key_text(value: Scalar) -> str:
    """A key of any type as the text that JSON needs. Raises ValueError for null, which has none."""
    if value is None:
        raise ValueError("null is no key")
    if type(value) is bool:
        return "true" if value else "false"
    return float_text(_single(value)) if type(value) is float else str(value)


def _single(value: float) -> float:
    """The shortest decimal that is the same float of 32 bits."""
    try:
        nearest = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    shortest = (float(f"{nearest:.{places}g}") for places in range(1, 10))
    return next((one for one in shortest if struct.unpack("f", struct.pack("f", one))[0] == nearest), nearest)
