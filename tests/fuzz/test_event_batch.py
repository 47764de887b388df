from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from telemetry import COLUMNS, Event, EventBatch, InvalidBatch, Kind, cleanse, concatenate

texts = st.sampled_from(["", "a", "b", "é", "\0"]) | st.text(max_size=10)
rows = st.builds(
    Event,
    time=st.floats(allow_nan=False),
    kind=st.sampled_from(Kind),
    source=texts,
    subject=texts,
    resource=texts,
    status=st.integers(-(2**15), 2**15 - 1),
    port=st.integers(-(2**31), 2**31 - 1),
    severity=st.integers(0, 255),
    bytes_in=st.integers(-(2**63), 2**63 - 1),
    duration=st.floats(allow_nan=False),
)
buffers = st.lists(st.integers(-1, 3), max_size=4).map(lambda cells: np.array(cells, np.int64).tobytes()) | st.binary(
    max_size=4
)
GOOD = EventBatch.of(
    [Event(time=1.0, kind=Kind.DNS, source="s", resource="r"), Event(time=2.0, kind=Kind.FLOW, source="s")]
)
packed = st.none() | st.integers() | st.binary(max_size=20) | st.text(max_size=3) | st.lists(st.binary(max_size=8))


def decode(data: bytes) -> None:
    """Either a batch that can be read whole, or InvalidBatch."""
    try:
        batch = EventBatch.from_bytes(data)
    except InvalidBatch:
        return
    assert len(list(batch.events())) == len(batch)
    cleanse(batch, now=1.0)


@given(st.lists(rows, max_size=8))
def test_rows_survive_columns_and_bytes(events: list[Event]) -> None:
    """Any rows come back from columns, and from bytes, exactly."""
    batch = EventBatch.of(events)
    assert list(batch.events()) == events
    assert list(EventBatch.from_bytes(batch.to_bytes()).events()) == events


@given(st.lists(st.lists(rows, max_size=4), max_size=4), st.booleans())
def test_concatenation_is_that_of_the_rows(parts: list[list[Event]], merge: bool) -> None:
    """Joining batches joins their rows, in order."""
    joined = concatenate([EventBatch.of(part) for part in parts], merge=merge)
    assert list(joined.events()) == [event for part in parts for event in part]


@given(st.lists(rows, max_size=8), st.data())
def test_taking_rows_is_that_of_the_rows(events: list[Event], data: st.DataObject) -> None:
    """Taking by mask gives the rows of the mask."""
    mask = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
    kept = EventBatch.of(events).take(np.array(mask, np.bool_))
    assert list(kept.events()) == [event for event, keep in zip(events, mask, strict=True) if keep]


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are a batch that can be read whole, or InvalidBatch."""
    decode(data)


@given(st.integers(0, 400), st.binary(max_size=4))
def test_any_damage(at: int, damage: bytes) -> None:
    """The same for a good batch with bytes replaced."""
    data = GOOD.to_bytes()
    decode(data[:at] + damage + data[at + len(damage) :])


@given(
    st.dictionaries(st.sampled_from(COLUMNS), packed | st.tuples(packed, packed) | st.tuples(buffers, buffers, buffers))
)
def test_any_column(changes: dict[str, Any]) -> None:
    """The same for a good batch with columns of any shape."""
    columns = msgspec.msgpack.decode(GOOD.to_bytes()) | changes
    try:
        data = msgspec.msgpack.encode(columns)
    except OverflowError:  # an integer that msgpack has no form for
        return
    decode(data)
