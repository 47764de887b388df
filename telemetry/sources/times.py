"""Many ISO 8601 times at once, as sensors write them: `2021-06-06T15:59:46.457984+0200`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telemetry.malformed import iso_time
from telemetry.sources.cells import Cells
from telemetry.sources.digits import digits

_FORM: Final = np.frombuffer(b"0000-00-00T00:00:00.000000+0000", np.uint8)
_DIGIT: Final = ord("0") == _FORM
_ZONE: Final = 26  # where its sign is
_FIXED: Final = np.flatnonzero(~_DIGIT & (np.arange(len(_FORM)) != _ZONE))
_MONTHS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_MICROS: Final = 20  # where its six digits begin
_EXACT: Final = 2**53  # microseconds that a float counts one by one

_POINT: Final = np.uint64(0xFFFFFFFF)  # of the third word: all before the digits after the point
_SIGN: Final = np.uint64(24)  # bits of the last word before its zone

Digits = NDArray[np.uint8]
Moments = NDArray[np.float64]


def iso_times(texts: Sequence[str]) -> Moments:
    """[n] Unix seconds, what `iso_time` says of each: those in Suricata's form all at once, any others one by one."""
    moments = np.empty(len(texts), np.float64)
    fit = np.fromiter(map(len, texts), np.int64, len(texts)) == len(_FORM)
    joined = "".join(texts if fit.all() else compress(texts, fit.tolist()))
    if joined.isascii():
        letters = np.frombuffer(joined.encode(), np.uint8).reshape(-1, len(_FORM))
        moments[fit], fit[fit] = _plain(letters)
    else:
        fit[:] = False
    for row in np.flatnonzero(~fit).tolist():
        moments[row] = iso_time(texts[row])
    return moments


def cell_times(cells: Cells) -> Moments:
    """The same of cells. A sensor's records follow upon each other: the second is read once for all rows in it."""
    moments = np.empty(len(cells), np.float64)
    rows = np.flatnonzero(cells.lengths == len(_FORM))
    seconds, known = _seconds(cells.take(rows))
    micros, plain = digits(Cells(cells.page, cells.starts[rows] + _MICROS, np.full(len(rows), 6)))
    whole = seconds + micros
    plain &= known & (np.abs(whole) < _EXACT)
    moments[rows] = whole / 1e6
    odd = np.ones(len(cells), np.bool_)
    odd[rows] = ~plain
    left = np.flatnonzero(odd)
    moments[left] = [iso_time(text) for text in cells.take(left).texts()]
    return moments


def _seconds(cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds of times in the form without those after the point, and which of them count: worked out where one
    differs from the row before it.
    """
    if not len(cells):
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    first, second, third, last = (cells.page.windows[cells.starts + at] for at in (0, 8, 16, 23))
    third, last = third & _POINT, last >> _SIGN
    begins = np.ones(len(cells), np.bool_)
    begins[1:] = False
    for word in (first, second, third, last):
        begins[1:] |= word[1:] != word[:-1]
    heads = cells.take(begins)
    letters = heads.page.letters[heads.starts[:, None] + np.arange(len(_FORM))]
    letters[:, _MICROS:_ZONE] = ord("0")
    moments, plain = _plain(letters)
    run = np.cumsum(begins) - 1
    return np.rint(moments * 1e6).astype(np.int64)[run], plain[run]


def _plain(letters: Digits) -> tuple[Moments, NDArray[np.bool_]]:
    """Unix seconds, and which of them count: of times in the form that exist and fit a float to the microsecond."""
    digits = np.ascontiguousarray((letters - np.uint8(ord("0"))).T)  # [31, n]; below "0" they wrap around
    sign = letters[:, _ZONE]
    plain = (digits[_DIGIT] < 10).all(axis=0) & (letters[:, _FIXED] == _FORM[_FIXED]).all(axis=1)
    plain &= (sign == ord("+")) | (sign == ord("-"))
    year, month, day = _number(digits[0:4]), _number(digits[5:7]), _number(digits[8:10])
    hour, minute, second = (_number(digits[at : at + 2]) for at in (11, 14, 17))
    off_hours, off_minutes = _number(digits[27:29]), _number(digits[29:31])
    plain &= (hour < 24) & (minute < 60) & (second < 60) & (off_hours < 24) & (off_minutes < 60)
    plain &= (year > 1) & (year < 2200) & (day >= 1) & (day <= _days_in(year, month))
    away = (off_hours * 60 + off_minutes) * np.where(sign == ord("-"), -60, 60)
    seconds = _days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - away
    whole = seconds * 1_000_000 + _number(digits[20:26])
    return whole / 1e6, plain & (np.abs(whole) < _EXACT)


def _number(digits: Digits) -> NDArray[np.int64]:
    number: NDArray[np.int64] = digits[0].astype(np.int64)
    for digit in digits[1:]:
        number = number * 10 + digit
    return number


def _days_in(year: NDArray[np.int64], month: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days of the month; 0 of one that there is not."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    days: NDArray[np.int64] = np.where((month == 2) & leap, 29, _MONTHS[np.clip(month, 1, 12) - 1])
    days[(month < 1) | (month > 12)] = 0
    return days


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970 of a date, counted in years that begin in March (Howard Hinnant, "chrono-Compatible Low-Level
    Date Algorithms", days_from_civil).
    """
    year = year - (month <= 2)
    era, within = year // 400, year % 400
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + within * 365 + within // 4 - within // 100 + in_year - 719_468
