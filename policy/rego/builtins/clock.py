"""Time: nanoseconds since 1970, in UTC or a named zone. All of one evaluation sees the same `time.now_ns()`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from policy.rego.builtins.arithmetic import whole
from policy.rego.values import UNDEFINED

SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}


def now_ns(m: list[Any]) -> int:
    """The evaluation's time."""
    return m[0]  # type: ignore[no-any-return]


def parse_rfc3339_ns(text: Any) -> Any:
    """Nanoseconds of an RFC 3339 time."""
    found = _RFC3339.fullmatch(text) if type(text) is str else None
    if not found:
        return UNDEFINED
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[4].upper()}")
    except ValueError:
        return UNDEFINED
    return int((moment - _EPOCH).total_seconds()) * SECOND + int((found[3] or "").ljust(9, "0"))


def parse_duration_ns(text: Any) -> Any:
    """Nanoseconds of a Go duration, "1h30m"."""
    if type(text) is not str:
        return UNDEFINED
    sign, rest = (-1 if text.startswith("-") else 1), text.removeprefix("-").removeprefix("+")
    if rest == "0":
        return 0
    parts = _DURATION.findall(rest)
    if not parts or "".join(amount + unit for amount, unit in parts) != rest:
        return UNDEFINED
    return sign * sum(int(float(amount) * _UNITS[unit]) for amount, unit in parts)


def _moment(value: Any) -> Any:
    """Local time of nanoseconds, or of `[nanoseconds, zone]`."""
    ns, zone = value if type(value) is list and len(value) == 2 else (value, "UTC")
    ns = whole(ns)
    if ns is UNDEFINED or type(zone) is not str:
        return UNDEFINED
    try:
        return (_EPOCH + timedelta(microseconds=ns // 1000)).astimezone(_zone(zone))
    except (OverflowError, ValueError, ZoneInfoNotFoundError, OSError):
        return UNDEFINED


def _zone(name: str) -> tzinfo:
    return UTC if name in ("", "UTC") else ZoneInfo(name)


def date(value: Any) -> Any:
    """`[year, month, day]`."""
    moment = _moment(value)
    return UNDEFINED if moment is UNDEFINED else [moment.year, moment.month, moment.day]


def clock(value: Any) -> Any:
    """`[hour, minute, second]`."""
    moment = _moment(value)
    return UNDEFINED if moment is UNDEFINED else [moment.hour, moment.minute, moment.second]


def weekday(value: Any) -> Any:
    """Name of the day."""
    moment = _moment(value)
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    return UNDEFINED if moment is UNDEFINED else days[moment.weekday()]


IMPURE = {"time.now_ns": "clock"}
CLOCKED = frozenset(IMPURE)
BUILTINS = {
    "time.now_ns": now_ns,
    "time.parse_rfc3339_ns": parse_rfc3339_ns,
    "time.parse_duration_ns": parse_duration_ns,
    "time.date": date,
    "time.clock": clock,
    "time.weekday": weekday,
}
