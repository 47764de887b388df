from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from telemetry import COLUMNS, Event, EventBatch, InvalidBatch, Kind, Words, concatenate

EVENTS = [
    Event(time=1.5, kind=Kind.REQUEST, source="edge", subject="person:alice", resource="/a", status=200, bytes_in=7),
    Event(time=2.5, kind=Kind.DNS, source="eve", resource="a.example", action="A", duration=0.25, port=53),
    Event(time=3.5, kind=Kind.REQUEST, source="edge", subject="person:bob", resource="/a", severity=4),
]


def test_columns_are_the_fields_of_an_event_in_its_order() -> None:
    assert Event.__struct_fields__ == COLUMNS


def test_rows_come_back_as_they_went_in() -> None:
    batch = EventBatch.of(EVENTS)
    assert len(batch) == 3
    assert list(batch.events()) == EVENTS


def test_equal_texts_share_a_code_in_order_of_appearance() -> None:
    words = Words.of(text for text in ("b", "a", "b"))
    assert words.values == ("b", "a")
    assert words.codes.tolist() == [0, 1, 0]
    assert list(words) == ["b", "a", "b"]
    assert words.text(2) == "b"


def test_take_by_mask_index_and_slice() -> None:
    batch = EventBatch.of(EVENTS)
    assert list(batch.take(np.array([True, False, True])).events()) == [EVENTS[0], EVENTS[2]]
    assert list(batch.take(np.array([2, 0])).events()) == [EVENTS[2], EVENTS[0]]
    assert list(batch.take(slice(1, None)).events()) == EVENTS[1:]


def test_concatenate_merges_text_tables() -> None:
    joined = concatenate([EventBatch.of(EVENTS[:2]), EventBatch.of(()), EventBatch.of(EVENTS[2:])])
    assert list(joined.events()) == EVENTS
    assert joined.resource.values == ("/a", "a.example")
    assert len(concatenate([])) == 0


@pytest.mark.parametrize("field", ["status", "port", "severity", "bytes_in"])
def test_a_number_beyond_its_column_is_refused(field: str) -> None:
    with pytest.raises(OverflowError):
        EventBatch.of([msgspec.structs.replace(EVENTS[0], **{field: 2**64})])


def test_bytes_and_back() -> None:
    assert list(EventBatch.from_bytes(EventBatch.of(EVENTS).to_bytes()).events()) == EVENTS
    assert len(EventBatch.from_bytes(EventBatch.of(()).to_bytes())) == 0


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("time", np.zeros(2), "time has 2"),
        ("kind", np.zeros(3, np.uint8), "no kind"),
        ("peer", Words(np.array([0, 1, 2], np.int32), ("x",)), "outside its table"),
        ("peer", Words(np.array([0, -1, 0], np.int32), ("x",)), "outside its table"),
    ],
)
def test_columns_that_do_not_fit_together_are_no_batch(column: str, value: object, says: str) -> None:
    columns = {name: getattr(EventBatch.of(EVENTS), name) for name in COLUMNS}
    with pytest.raises(InvalidBatch, match=says):
        EventBatch.from_bytes(EventBatch(**(columns | {column: value})).to_bytes())


@pytest.mark.parametrize(
    ("lengths", "letters"),
    [
        ((1, b"\1"), b"ab"),
        ((1, b"\2\2"), b"ab"),
        ((1, b"\1\1"), "é".encode()),
        ((1, b"\3"), b"\xed\xa0\x80"),
        ((2, b"\2"), b"ab"),
        ((3, b"\2"), b"ab"),
        ((8, b"\0" * 7 + b"\x80"), b""),
        ((-1, b""), b""),
    ],
)
def test_texts_that_do_not_lie_in_their_buffer_are_no_batch(lengths: tuple[int, bytes], letters: bytes) -> None:
    packed = ((0, b""), lengths, letters)
    columns = msgspec.msgpack.decode(EventBatch.of(EVENTS).to_bytes()) | {"peer": packed}
    with pytest.raises(InvalidBatch):
        EventBatch.from_bytes(msgspec.msgpack.encode(columns))


def test_what_is_the_same_in_every_row_is_sent_once() -> None:
    alike = [msgspec.structs.replace(EVENTS[0], time=float(n)) for n in range(1000)]
    other = [msgspec.structs.replace(one, port=n, resource=f"/{n}") for n, one in enumerate(alike)]
    same, varied = (EventBatch.of(events).to_bytes() for events in (alike, other))
    assert len(same) < 1000 * 8 + 1000 < len(varied)
    assert list(EventBatch.from_bytes(same).events()) == alike
    assert list(EventBatch.from_bytes(varied).events()) == other


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_536, 65_537])
def test_any_number_of_texts_comes_back(size: int) -> None:
    words = Words(np.arange(size, dtype=np.int32), [f"{n}" * (1 + 300 * (n % 1000 == 7)) for n in range(size)])
    batch = replace(EventBatch.of([EVENTS[0]]).take(np.zeros(size, np.int64)), name=words)
    assert list(EventBatch.from_bytes(batch.to_bytes()).name) == list(words)


def test_half_a_surrogate_pair_stands_in_memory_and_is_not_sent() -> None:
    batch = EventBatch.of([msgspec.structs.replace(EVENTS[0], name="\ud800")])
    assert next(batch.events()).name == "\ud800"
    with pytest.raises(ValueError, match="utf-8"):
        batch.to_bytes()


def test_many_texts_are_joined_each_once() -> None:
    rows = [msgspec.structs.replace(EVENTS[0], resource=f"/{n}") for n in range(1000)]
    joined = concatenate([EventBatch.of(rows), EventBatch.of(rows[::-1])])
    assert list(joined.events()) == rows + rows[::-1]
    assert len(joined.resource.values) == 1000


def test_deep_nesting_is_no_batch() -> None:
    with pytest.raises(InvalidBatch):
        EventBatch.from_bytes(b"\x81\xa4time" + b"\x91" * 100_000)


def test_a_compact_batch_has_the_same_rows_and_no_text_beside_theirs() -> None:
    batch = EventBatch.of([Event(time=n + 1.0, kind=Kind.FLOW, source="s", resource="x" * 1000 * n) for n in range(9)])
    part = batch.take(slice(2, 4))
    assert list(part.compact().events()) == list(part.events())
    assert part.compact().resource.values == ("x" * 2000, "x" * 3000)
    assert part.compact().size < part.size
