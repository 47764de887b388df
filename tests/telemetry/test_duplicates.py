"""The same event told twice, and what is not the same."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import HISTORY, Door, Event, EventBatch, Kind, Rejects
from telemetry.duplicates import Remembered, fingerprints

NOW = 1_700_000_000.0
FLOW = Event(
    time=NOW, kind=Kind.FLOW, source="eve", session="C1", address="10.0.0.1", peer="10.0.0.2", port=80, bytes_in=7
)
OTHERWISE: dict[str, Any] = {
    "time": NOW - 1e-6,
    "kind": Kind.ALERT,
    "source": "zeek",
    "subject": "person:a",
    "actor": "person:a",
    "session": "C2",
    "address": "10.0.0.9",
    "peer": "10.0.0.1",
    "service": "dns",
    "resource": "/a",
    "action": "tcp",
    "outcome": "SF",
    "name": "scan",
    "status": 1,
    "port": 81,
    "severity": 1,
    "bytes_in": 8,
    "bytes_out": 1,
    "duration": 0.5,
}


class Counted:
    """A door, what it let through, and what it counted."""

    def __init__(self, **bounds: Any) -> None:
        self.published: list[Event] = []
        self.rejects = Rejects()
        self.door = Door(lambda batch: self.published.extend(batch.events()), self.rejects, lambda: NOW, **bounds)

    def admit(self, *events: Event) -> dict[str, int]:
        return self.door.admit(EventBatch.of(events))


def changed(**changes: Any) -> Event:
    return msgspec.structs.replace(FLOW, **changes)


def test_an_event_told_again_is_counted_and_not_published() -> None:
    counted = Counted()
    assert counted.admit(FLOW, changed(port=81), FLOW) == {"duplicate": 1}
    assert counted.admit(changed(port=82), FLOW) == {"duplicate": 1}
    assert counted.published == [FLOW, changed(port=81), changed(port=82)]
    assert counted.rejects.counts == {("eve", "duplicate"): 2}
    assert not counted.rejects.latest


@pytest.mark.parametrize("column", OTHERWISE)
def test_events_that_differ_in_anything_are_two(column: str) -> None:
    assert set(OTHERWISE) == set(Event.__struct_fields__)
    assert Counted().admit(FLOW, changed(**{column: OTHERWISE[column]})) == {}


def test_requests_without_a_session_may_be_equal_and_be_two() -> None:
    assert Counted().admit(*[changed(kind=Kind.REQUEST, session="")] * 3) == {}


def test_what_was_refused_is_not_remembered() -> None:
    counted = Counted()
    assert counted.admit(changed(port=70_000)) == {"bad_port": 1}
    assert counted.admit(changed(port=70_000)) == {"bad_port": 1}


def test_history_is_taken_as_often_as_it_is_told() -> None:
    assert Counted(bounds=HISTORY).admit(FLOW, FLOW) == {}


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "b"])), max_size=8), max_size=5))
def test_the_first_of_equal_rows_passes_and_no_other(batches: list[list[tuple[int, str]]]) -> None:
    """Whatever else the tables hold, in whatever batches: as a set of rows that were there would say."""
    remembered, known = Remembered(16), set[tuple[int, str]]()
    for rows in batches:
        batch = EventBatch.of([changed(port=port, session=session) for port, session in rows])
        expected = []
        for row in rows:
            expected.append(bool(row[1]) and row in known)
            known.add(row)
        assert remembered.again(batch).tolist() == expected


def test_the_two_zeros_are_one_number() -> None:
    first, second = fingerprints(EventBatch.of([FLOW, changed(duration=-0.0)])).tolist()
    assert first == second


def test_old_events_are_forgotten_and_none_is_taken_for_another() -> None:
    """Among far more events than there are places."""
    remembered = Remembered(6)
    batch = EventBatch.of([changed(port=port) for port in range(5000)])
    assert not remembered.again(batch).any()
    assert 0 < np.count_nonzero(remembered.again(batch)) < 5000
