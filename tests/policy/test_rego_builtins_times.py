"""Times: Go's layouts, zones, dates and durations."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from policy.rego import UNDEFINED
from policy.rego.builtins import BUILTINS
from policy.rego.builtins.clock import IMPURE
from policy.rego.values import RegoSet
from tests.policy.called_in_opa import Call, hold_against_opa

ZONES = [
    *("", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"),
    *("Etc/GMT+5", "Nope/Zone", "../etc/passwd", "europe/berlin", "/UTC"),
]
LAYOUTS = [
    *("", "ANSIC", "UnixDate", "RubyDate", "RFC822", "RFC822Z", "RFC850", "RFC1123", "RFC1123Z", "RFC3339", "Kitchen"),
    *("RFC3339Nano", "2006-01-02", "Jan _2 15:04:05.000", "Monday January 2 3:04PM 06", "__2 002 .999 ,000000"),
    *("-07 -07:00:00 -070000 Z07 Z0700 Z070000 Z07:00:00 MST", "_2006 Janet Monet 1 03 4 5 pm", "%Y-%m-%d"),
    *(".0000000000000 .9999999999999", ".005 .00 .99 ,9", "2006 01 02 15 é"),
]
INSTANTS: list[Any] = [
    *(0, -1, 1_700_000_000_123_456_789, 951_782_400_000_000_000, -(2**63), 2**63 - 1, 2**63, 1.5, 1.0, 10**30),
    *(1_711_846_799_999_999_999, 1_711_846_800_000_000_000, 1_729_990_800_000_000_000),  # Berlin's clocks change
]
READ = [
    *("2006-01-02", "2006-1-2 3:4:5 PM", "Mon Jan _2 15:04:05 2006", "Jan 2, 2006 at 3:04pm (MST)", "06 01 02"),
    *("2006 002", "2006 __2", "2006 Jan 002", "15:04:05.000 2006", "2006 15:04:05.999", "2006 -0700 MST", "2006 Z0700"),
    *("2006 -07", "2006 -07:00:00", "2006 15 PM", "RFC1123", "RFC3339", "RFC822", "Monday, January 02 2006"),
]
WRITTEN = [
    *(
        "2024-02-29T12:30:45Z",
        "2023-02-29T12:30:45Z",
        "2024-02-29T1:30:45.5Z",
        "2024-02-29T01:30:45,123456789123+24:60",
    ),
    *("2024-02-29t01:30:45Z", "2024-02-29", "2024-2-9", "24 02 09", "+4 02 09", "2024 060", "2023 366", "2024   6"),
    *("2024 Feb 060", "2024 Mar 060", "12:00:01.123 2024", "2024 12:00:01.123456", "2024 +0100 CET", "2024 Z"),
    *("2024 -05", "2024 -05:00:30", "Mon, 02 Jan 2006 15:04:05 GMT+3", "Mon, 02 Jan 2006 15:04:05 ABCDE"),
    *("tUE jAN 2 15:04:05 2006", "Jan 2, 2024 at 3:04am (PST)", "2024-1-2 12:4:5 AM", "2024-1-2 13:4:5 AM"),
    *("0000-01-01", "1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43.145224191Z", "9999-12-31T00:00:00Z"),
    *("2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z", "", "Thursday, February 29 2024"),
    *("02 Jan 24 15:04 WITA", "02 Jan 24 15:04 +24", "2024 12 AM", "2024-01-02T24:00:00Z", "2024-01-02T23:59:60Z"),
]
DURATIONS = [
    *("1h", "-1.5h", "+5s", "0", "-0", "", "1", "s", ".5s", "5.s", ".s", "1d", "1w2d", "-1y", "1.5d", "1d2h30m5ms"),
    *("1D", "d", "1.2.3d", "292y", "293y", "2562047h47m16.854775808s", "-2562047h47m16.854775808s", "1µs", "1μs"),
    *("1dµs", "1d1μs", "1 h", "0.1234567890123456789123h", "9223372036854775808ns", "1e3s", "1h-1h", "0.29us", ".d"),
]
ODD: list[Any] = [None, True, "1", [], {}, [1], ["1"], [1, 2], [1, "UTC", 3], [1, "UTC", "06", 4], RegoSet([1]), [1.5]]
MEANINGS = [
    ("time.format", [[1_700_000_000_123_000_000, "Europe/Berlin", "RFC1123"]], "Tue, 14 Nov 2023 23:13:20 CET"),
    ("time.format", [1_700_000_000_123_000_000], "2023-11-14T22:13:20.123Z"),
    ("time.parse_ns", ["2006-01-02 MST", "2023-11-14 PST"], 1_699_920_000_000_000_000),
    ("time.parse_rfc3339_ns", ["2023-11-14T22:13:20.123+01:00"], 1_699_996_400_123_000_000),
    ("time.parse_duration_ns", ["1d1.5h"], 91_800_000_000_000),
    ("time.date", [[1_711_846_800_000_000_000, "Europe/Berlin"]], [2024, 3, 31]),
    ("time.clock", [[1_711_846_800_000_000_000, "Europe/Berlin"]], [3, 0, 0]),
    ("time.weekday", [0], "Thursday"),
    ("time.add_date", [[1_711_760_400_000_000_000, "Europe/Berlin"], 0, 0, 1], 1_711_846_800_000_000_000),
    ("time.diff", [951_782_400_000_000_000, 1_700_000_000_000_000_000], [23, 8, 14, 22, 13, 20]),
    ("time.clock", [[0, "Local"]], UNDEFINED),
]


def calls() -> list[Call]:
    random = Random(7)
    made: list[Call] = [("time.format", [list(args)]) for args in product(INSTANTS[:5], ZONES[:5], LAYOUTS)]
    zoned = [[instant, zone] for instant, zone in product(INSTANTS, ZONES)]
    made += [(f"time.{name}", [one]) for name in ("date", "clock", "weekday", "format") for one in [*zoned, *INSTANTS]]
    for _ in range(300):
        made.append(("time.diff", [random.choice(zoned), random.choice(zoned)]))
        at = [random.randint(-(2**62), 2**62), random.choice(ZONES)]
        years, months, days = (
            random.choice([0, 1, -400, 2.0]),
            random.choice([0, -1, 13]),
            random.choice([0, 31, -1, 1.5]),
        )
        made.append(("time.add_date", [random.choice([at, *zoned]), years, months, days]))
    made += [("time.parse_ns", list(args)) for args in product([*READ, *LAYOUTS], WRITTEN)]
    made += [("time.parse_rfc3339_ns", [one]) for one in [*WRITTEN, *ODD]]
    made += [("time.parse_duration_ns", [one]) for one in [*DURATIONS, *ODD]]
    for odd in ODD:
        made += [(f"time.{name}", [odd]) for name in ("date", "clock", "weekday", "format")]
        made += [("time.diff", [odd, 1]), ("time.diff", [1, odd]), ("time.add_date", [odd, 0, 0, 0])]
    return made


def test_times_mean_what_they_mean_in_opa(tmp_path: Path) -> None:
    hold_against_opa(calls(), tmp_path)


@pytest.mark.parametrize(("name", "args", "answer"), MEANINGS)
def test_what_times_mean(name: str, args: list[Any], answer: Any) -> None:
    assert BUILTINS[name](*args) == answer


def test_now_is_the_evaluations_time() -> None:
    assert IMPURE == {"time.now_ns": "clock"}
    assert BUILTINS["time.now_ns"]([7, None, None]) == 7
