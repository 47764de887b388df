"""Time: nanoseconds since 1970, in UTC or a named zone. All of one evaluation sees the same `time.now_ns()`.

Zones come from the tzdata package, not from the machine; so the zone "Local" is unknown.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from policy.rego.builtins.arithmetic import whole
from policy.rego.builtins.durations import parse_duration_ns
from policy.rego.builtins.layout_reader import parsed
from policy.rego.builtins.layouts import DAYS, SECOND, Moment, formatted
from policy.rego.builtins.operands import integer
from policy.rego.values import UNDEFINED

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMIT = 1 << 63


def now_ns(m: list[Any]) -> Any:
    """The evaluation's time."""
    return m[0]


def parse_ns(layout: Any, text: Any) -> Any:
    """Nanoseconds of a time written by one of Go's layouts, or one of its names."""
    if type(layout) is not str or type(text) is not str:
        return UNDEFINED
    return _stamp(parsed(layout, text))


def parse_rfc3339_ns(text: Any) -> Any:
    """Nanoseconds of an RFC 3339 time."""
    return parse_ns("RFC3339", text)


def _stamp(nanoseconds: int | None) -> Any:
    return nanoseconds if nanoseconds is not None and -_LIMIT <= nanoseconds < _LIMIT else UNDEFINED


def _moment(value: Any) -> Any:
    """Clocks' reading at nanoseconds, or at `[nanoseconds, zone, layout]`; undefined if it is no such time."""
    given, name, layout = _parts(value)
    ns = whole(given)
    zone = _zone(name) if type(name) is str else None
    if ns is UNDEFINED or zone is None or type(layout) is not str or _stamp(ns) is UNDEFINED:
        return UNDEFINED
    seconds, nanosecond = divmod(ns, SECOND)
    local = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    offset = local.utcoffset() or timedelta()
    clock = (local.year, local.month, local.day, local.hour, local.minute, local.second)
    return Moment(*clock, nanosecond, int(offset.total_seconds()), local.tzname() or "")


def _parts(value: Any) -> tuple[Any, Any, Any]:
    given = value if type(value) is list else [value]
    return given[0] if given else None, given[1] if len(given) > 1 else "", given[2] if len(given) > 2 else ""


@cache
def _zones() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


def _zone(name: str) -> tzinfo | None:
    if name in ("", "UTC"):
        return UTC
    return _loaded(name) if name in _zones() else None


@cache
def _loaded(name: str) -> tzinfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def format_(value: Any) -> Any:
    """The time as text; `[nanoseconds, zone, layout]` says how, RFC 3339 if it does not."""
    moment = _moment(value)
    return UNDEFINED if moment is UNDEFINED else formatted(_parts(value)[2] or "RFC3339Nano", moment)


def date_(value: Any) -> Any:
    """`[year, month, day]`."""
    moment = _moment(value)
    return UNDEFINED if moment is UNDEFINED else list(moment[:3])


def clock(value: Any) -> Any:
    """`[hour, minute, second]`."""
    moment = _moment(value)
    return UNDEFINED if moment is UNDEFINED else list(moment[3:6])


def weekday(value: Any) -> Any:
    """Name of the day."""
    moment = _moment(value)
    return UNDEFINED if moment is UNDEFINED else DAYS[moment.date.weekday()]


def add_date(value: Any, years: Any, months: Any, days: Any) -> Any:
    """Nanoseconds at the same clock time, years, months and days later."""
    moment, years, months, days = _moment(value), integer(years), integer(months), integer(days)
    if UNDEFINED in (moment, years, months, days):
        return UNDEFINED
    day = _days(moment.year + years, moment.month + months) + moment.day - 1 + days
    seconds = day * 86_400 + moment.hour * 3600 + moment.minute * 60 + moment.second
    if abs(seconds) > 2 * _LIMIT // SECOND:
        return UNDEFINED
    zone = _zone(_parts(value)[1])
    offset = _offset(seconds - _offset(seconds, zone), zone)
    return _stamp((seconds - offset) * SECOND + moment.nanosecond)


def _days(year: int, month: int) -> int:
    """Days from 1970 to a month's first; the month may be of another year, the year any."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    cycles, year = divmod(year - 2000, 400)  # the calendar repeats every 146,097 days
    return date(2000 + year, month, 1).toordinal() - _EPOCH.toordinal() + cycles * 146_097


def _offset(seconds: int, zone: tzinfo | None) -> int:
    offset = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds())


def diff(a: Any, b: Any) -> Any:
    """`[years, months, days, hours, minutes, seconds]` between two times, as the first one's clocks show them."""
    if _moment(a) is UNDEFINED or _moment(b) is UNDEFINED:
        return UNDEFINED
    here, (start, end) = _parts(a)[1], sorted(whole(_parts(value)[0]) for value in (a, b))
    earlier, later = _moment([start, here]), _moment([end, here])
    return _borrowed(earlier, [high - low for low, high in zip(earlier[:6], later[:6], strict=True)])


def _borrowed(start: Moment, fields: list[int]) -> list[int]:
    month = _days(start.year, start.month + 1) - _days(start.year, start.month)
    for at, size in ((5, 60), (4, 60), (3, 24), (2, month), (1, 12)):
        if fields[at] < 0:
            fields[at] += size
            fields[at - 1] -= 1
    return fields


IMPURE = {"time.now_ns": "clock"}
BUILTINS = {
    "time.now_ns": now_ns,
    "time.parse_ns": parse_ns,
    "time.parse_rfc3339_ns": parse_rfc3339_ns,
    "time.parse_duration_ns": parse_duration_ns,
    "time.format": format_,
    "time.date": date_,
    "time.clock": clock,
    "time.weekday": weekday,
    "time.add_date": add_date,
    "time.diff": diff,
}
