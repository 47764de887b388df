"""Times written by Go's layouts: examples of how the second of January 2006, 15:04:05, would be written."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

SECOND = 1_000_000_000
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NAMED = {
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
    "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "RFC3339": "2006-01-02T15:04:05Z07:00",
    "RFC3339Nano": "2006-01-02T15:04:05.999999999Z07:00",
}
PART = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|0[1-6]|002|15|1|2006|2|_2(?!006)|__2|[345]|PM|pm"
    r"|[-Z]07(?:0000|:00:00|00|:00)?|[.,](?:0+|9+)(?![0-9])"
)


class Moment(NamedTuple):
    """A time as clocks of its zone show it."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    nanosecond: int
    offset: int  # seconds east of UTC
    zone: str

    @property
    def date(self) -> date:
        """Its day."""
        return date(self.year, self.month, self.day)


_WRITTEN: dict[str, Callable[[Moment], str]] = {
    "January": lambda at: MONTHS[at.month - 1],
    "Jan": lambda at: MONTHS[at.month - 1][:3],
    "1": lambda at: f"{at.month}",
    "01": lambda at: f"{at.month:02}",
    "Monday": lambda at: DAYS[at.date.weekday()],
    "Mon": lambda at: DAYS[at.date.weekday()][:3],
    "2": lambda at: f"{at.day}",
    "_2": lambda at: f"{at.day:2}",
    "02": lambda at: f"{at.day:02}",
    "__2": lambda at: f"{at.date.timetuple().tm_yday:3}",
    "002": lambda at: f"{at.date.timetuple().tm_yday:03}",
    "15": lambda at: f"{at.hour:02}",
    "3": lambda at: f"{at.hour % 12 or 12}",
    "03": lambda at: f"{at.hour % 12 or 12:02}",
    "4": lambda at: f"{at.minute}",
    "04": lambda at: f"{at.minute:02}",
    "5": lambda at: f"{at.second}",
    "05": lambda at: f"{at.second:02}",
    "2006": lambda at: f"{at.year:04}",
    "06": lambda at: f"{at.year % 100:02}",
    "PM": lambda at: "PM" if at.hour >= 12 else "AM",
    "pm": lambda at: "pm" if at.hour >= 12 else "am",
    "MST": lambda at: at.zone,
}


def formatted(layout: str, moment: Moment) -> str:
    """The time as the layout has it."""
    return PART.sub(lambda part: _write(part.group(), moment), NAMED.get(layout, layout))


def _write(part: str, moment: Moment) -> str:
    if part in _WRITTEN:
        return _WRITTEN[part](moment)
    if part[0] in ".,":
        digits = f"{moment.nanosecond:09}"[: len(part) - 1]
        digits = digits.rstrip("0") if part[1] == "9" else digits
        return part[0] + digits if digits else ""
    return "Z" if part[0] == "Z" and moment.offset == 0 else _offset(part, moment.offset)


def _offset(part: str, offset: int) -> str:
    minutes, seconds = divmod(abs(offset), 60)
    fields = iter((f"{minutes % 60:02}", f"{seconds:02}"))
    sign = "-" if offset < 0 and minutes else "+"
    return f"{sign}{minutes // 60:02}{re.sub('00', lambda _: next(fields), part[3:])}"
