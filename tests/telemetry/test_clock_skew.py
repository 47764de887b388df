"""What a source's events show of its clock."""

from __future__ import annotations

import prometheus_client

from telemetry import Door, Event, EventBatch, Kind, Rejects
from telemetry.skew import WINDOW, Skew

NOW = 1_700_000_000.0


def rows(source: str, *times: float) -> EventBatch:
    return EventBatch.of([Event(time=time, kind=Kind.FLOW, source=source) for time in times])


def told(source: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value("portcullis_telemetry_clock_skew_seconds", {"source": source})


def test_a_clock_that_is_ahead_is_told_below_0() -> None:
    Skew().note(rows("ahead", NOW + 20, NOW + 20.5, NOW + 21), NOW)
    assert told("ahead") == -20.5


def test_one_nonsense_time_tells_nothing() -> None:
    Skew().note(rows("nonsense", NOW - 1, NOW + 1e9, NOW - 1, float("nan"), NOW - 1), NOW)
    assert told("nonsense") == 1.0


def test_events_that_waited_hide_no_clock_and_are_forgotten_in_time() -> None:
    skew = Skew()
    for at, age in ((0, 2.0), (1, 500.0)):
        skew.note(rows("waits", NOW + at - age), NOW + at)
        assert told("waits") == 2.0
    skew.note(rows("waits", NOW + WINDOW - 300), NOW + WINDOW)
    assert told("waits") == 2.0
    skew.note(rows("waits", NOW + 2 * WINDOW - 300), NOW + 2 * WINDOW)
    assert told("waits") == 300.0


def test_the_door_tells_each_sources_clock_even_of_what_it_refuses() -> None:
    door = Door(lambda batch: None, Rejects(), lambda: NOW)
    mixed = EventBatch.of([*rows("early", NOW + 600).events(), *rows("late", NOW - 3).events()])
    assert door.admit(mixed) == {"in_future": 1}
    assert (told("early"), told("late")) == (-600.0, 3.0)
