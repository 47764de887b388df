"""Hostile label files: whatever lies there are labels that can be looked for, or it is refused by name and line."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.models import DataRefused
from detectors.models.labels import hostile, read_labels
from telemetry import Event, EventBatch, Kind

BATCH = EventBatch.of([Event(time=1e9, kind=Kind.FLOW, source="zeek", address="10.0.0.1", peer="x")])
TIMES = st.none() | st.floats() | st.integers() | st.text(max_size=30) | st.datetimes().map(str)


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "events.labels"


def used(path: Path, data: bytes) -> bool:
    """Whether they were read and looked for."""
    path.write_bytes(data)
    try:
        rows = hostile(read_labels(path)[0], BATCH, path)
    except DataRefused:
        return False
    assert rows.shape == (1,)
    return True


@given(st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b'{"address":"\xff"}')
@example(b'{"address":"10.0.0.1","since":' + b"9" * 5000 + b"}")
@example(b'{"address":"10.0.0.1","since":1e999}')
@example(b'{"address":"10.0.0.1","since":"0001-01-01T00:00:00+14:00"}')
@example(b"{}\n" * 20_000)
def test_any_bytes(path: Path, data: bytes) -> None:
    used(path, data)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["address", "peer", "actor", "since", "until", "note"]), TIMES, max_size=4)
    )
)
def test_any_labels(path: Path, labels: list[dict[str, object]]) -> None:
    used(path, "\n".join(map(json.dumps, labels)).encode())


def test_a_good_one_is_used(path: Path) -> None:
    assert used(path, b'{"address": "10.0.0.1", "peer": "x", "since": 1e9, "until": 1e9}\n')
