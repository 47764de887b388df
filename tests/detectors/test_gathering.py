"""Batches as detectors get them: nothing lost, nothing twice, by kind, in the order of time."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from detectors.gathering import gathered
from telemetry import Event, EventBatch, Kind

events = st.builds(
    Event,
    time=st.integers(0, 50).map(float),
    kind=st.sampled_from(Kind),
    source=st.sampled_from(["edge", "zeek"]),
    address=st.sampled_from(["", "10.0.0.1", "10.0.0.2"]),
)


@given(st.lists(st.lists(events, max_size=12), max_size=12), st.integers(1, 20))
def test_every_event_is_in_one_batch(parts: list[list[Event]], rows: int) -> None:
    found = gathered([EventBatch.of(part) for part in parts], rows)
    assert Counter(event for batch in found for event in batch.events()) == Counter(
        event for part in parts for event in part
    )
    assert all(0 < len(batch) <= rows for batch in found)
    assert all((batch.time[1:] >= batch.time[:-1]).all() for batch in found)


@given(st.lists(st.sampled_from(Kind), min_size=1, max_size=30))
def test_batches_of_one_kind_are_one_batch(kinds: list[Kind]) -> None:
    parts = [EventBatch.of([Event(time=float(n), kind=kind, source="edge")] * 3) for n, kind in enumerate(kinds)]
    found = gathered(parts, 1000)
    assert sorted(set(kinds)) == sorted(int(batch.kind[0]) for batch in found)
    assert all((batch.kind == batch.kind[0]).all() for batch in found)
