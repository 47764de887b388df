"""Times read by Go's layouts.

A layout becomes one regular expression of atomic groups, since Go reads each part greedily and never goes back. The
fields of a time are as in Go: a weekday is read and ignored, a zone's abbreviation says nothing about its offset.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from policy.rego.builtins.layouts import DAYS, MONTHS, NAMED, PART, SECOND

_EPOCH = date(1970, 1, 1).toordinal()
_NAMES = {"January": MONTHS, "Jan": [one[:3] for one in MONTHS], "Monday": DAYS, "Mon": [one[:3] for one in DAYS]}
_ZONE_HOURS = "[+-]0*(?:2[0-3]|1?[0-9])(?![0-9])"
_READ: dict[str, str] = {
    **{part: f"(?i:{'|'.join(names)})" for part, names in _NAMES.items()},
    **dict.fromkeys(("1", "2", "15", "3", "4", "5"), "[0-9]{1,2}"),
    **dict.fromkeys(("01", "02", "03", "04", "05"), "[0-9]{2}"),
    "_2": " ?[0-9]{1,2}",
    "__2": " {0,2}[0-9]{1,3}",
    "002": "[0-9]{3}",
    "2006": "[0-9]{4}",
    "06": "[0-9]{2}|[+-][0-9]",
    "PM": "PM|AM",
    "pm": "pm|am",
    "MST": f"UTC|ChST|MeST|GMT(?:{_ZONE_HOURS})?|{_ZONE_HOURS}|(?:[A-Z]{{3,4}}T|WITA|[A-Z]{{3}})(?![A-Z])",
}


@lru_cache(maxsize=256)
def _reader(layout: str) -> tuple[re.Pattern[str], list[str]]:
    expression, parts, last = "", [], 0
    found = list(PART.finditer(layout))
    for index, part in enumerate(found):
        after = found[index + 1].group()[0] if index + 1 < len(found) else ""
        expression += f"{_literal(layout[last : part.start()])}(?>({_expression(part.group())}))"
        parts.append(part.group())
        last = part.end()
        if part.group() in ("5", "05") and after not in (".", ","):
            expression += "(?>([.,][0-9]+)?)"  # Go reads a fraction that no layout announces
            parts.append(".9")
    return re.compile(expression + _literal(layout[last:]), re.ASCII | re.DOTALL), parts


def _literal(text: str) -> str:
    """Spaces match any number of spaces, and none at the end."""
    return "".join(r"(?>\ +|\Z)" if run[0] == " " else re.escape(run) for run in re.findall(r" +|[^ ]+", text))


def _expression(part: str) -> str:
    if part in _READ:
        return _READ[part]
    if part[0] in ".,":
        digits = len(part) - 1
        return "(?:[.,][0-9]+)?" if part[1] == "9" else f"[.,][0-9]{{{min(digits, 9)}}}.{{{max(digits - 9, 0)}}}"
    number = "[+-][0-9]{2}" + part[3:].replace("00", "[0-9]{2}")
    return f"Z|{number}" if part[0] == "Z" else number


def parsed(layout: str, text: str) -> int | None:
    """Nanoseconds since 1970 of a time that is written by a layout, or None. Those of any year from 1 to 9999."""
    expression, parts = _reader(NAMED.get(layout, layout))
    found = expression.fullmatch(text)
    if not found:
        return None
    fields: dict[str, int] = {}
    try:
        for part, value in zip(parts, found.groups(), strict=True):
            if value:
                fields.update(_field(part, value))
        return _nanoseconds(fields)
    except (ValueError, OverflowError):
        return None


def _field(part: str, value: str) -> dict[str, int]:
    if part in _NAMES:
        at = [name.lower() for name in _NAMES[part]].index(value.lower())
        return {"month": at + 1} if part[0] == "J" else {}
    if part[0] in ".,":
        return {"nanosecond": int(value[1:10].ljust(9, "0"))}
    if part in ("PM", "pm"):
        return {value.lower(): 1}
    if part == "MST":
        return {"utc": 1} if value == "UTC" else {}
    if part[0] in "Z-":
        return {"utc": 1} if value == "Z" else {"offset": _read_offset(value)}
    if part == "06":
        return {"year": int(value) + (1900 if int(value) >= 69 else 2000)}
    return {_FIELDS[part][0]: _within(int(value), *_FIELDS[part][1:])}


_FIELDS = {
    "2006": ("year", 1, 9999),
    **dict.fromkeys(("1", "01"), ("month", 1, 12)),
    **dict.fromkeys(("2", "_2", "02"), ("day", 1, 31)),
    **dict.fromkeys(("__2", "002"), ("yday", 1, 366)),
    "15": ("hour", 0, 23),
    **dict.fromkeys(("3", "03"), ("hour", 0, 12)),
    **dict.fromkeys(("4", "04"), ("minute", 0, 59)),
    **dict.fromkeys(("5", "05"), ("second", 0, 59)),
}


def _within(number: int, low: int, high: int) -> int:
    if not low <= number <= high:
        raise ValueError(f"{number} out of range")
    return number


def _read_offset(value: str) -> int:
    given = [*map(int, re.findall("[0-9]{2}", value)), 0, 0]
    hours, minutes, seconds = _within(given[0], 0, 24), _within(given[1], 0, 60), _within(given[2], 0, 60)
    return (hours * 3600 + minutes * 60 + seconds) * (-1 if value[0] == "-" else 1)


def _nanoseconds(fields: dict[str, int]) -> int:
    hour = fields.get("hour", 0)
    if "pm" in fields:
        hour += 12 if hour < 12 else 0
    elif "am" in fields and hour == 12:
        hour = 0
    offset = 0 if "utc" in fields else fields.get("offset", 0)
    minutes = (_day(fields) * 24 + hour) * 60 + fields.get("minute", 0)
    return (minutes * 60 + fields.get("second", 0) - offset) * SECOND + fields.get("nanosecond", 0)


def _day(fields: dict[str, int]) -> int:
    """Days since 1970. Raises ValueError where there is no such day."""
    year = fields.get("year", 0)
    if "yday" not in fields:
        return date(year, fields.get("month", 1), fields.get("day", 1)).toordinal() - _EPOCH
    day = date.fromordinal(date(year, 1, 1).toordinal() + fields["yday"] - 1)
    if (day.year, fields.get("month", day.month), fields.get("day", day.day)) != (year, day.month, day.day):
        raise ValueError("day of the year is another day")
    return day.toordinal() - _EPOCH
