"""What the edge's module says became of requests, as columns."""

from __future__ import annotations

import asyncio
from pathlib import Path
from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.enforcement import serve_edge_log
from telemetry import EDGE_LOG_HEAD, Event, EventBatch, Kind, MalformedBatch, batch_length, edge_log

HEAD, NUMBERS = Struct("<IIQ"), Struct("<ddqqH")
ROW = (b"GET", b"/a", b"service/s", b"10.0.0.1", b"d-1", b"person:alice", b"agent:bot", b"allow", b"")


def frame(rows: list[tuple[tuple[float, float, int, int, int], tuple[bytes, ...]]], dropped: int = 0) -> bytes:
    numbers = b"".join(NUMBERS.pack(*row[0]) for row in rows)
    texts = b"".join(text + b"\0" for row in rows for text in row[1])
    body = numbers + texts
    return HEAD.pack(HEAD.size - 4 + len(body), len(rows), dropped) + body


def test_a_record_becomes_an_event() -> None:
    batch, dropped = edge_log(frame([((5.0, 0.25, 10, 20, 200), ROW)], dropped=3))
    (event,) = batch.events()
    assert dropped == 3
    assert event == Event(
        time=5.0,
        kind=Kind.REQUEST,
        source="edge",
        subject="person:alice",
        actor="agent:bot",
        session="d-1",
        address="10.0.0.1",
        service="service/s",
        resource="/a",
        action="GET",
        outcome="allow",
        status=200,
        bytes_in=10,
        bytes_out=20,
        duration=0.25,
    )


def test_a_refusal_names_the_block_that_refused() -> None:
    batch, _ = edge_log(frame([((5.0, 0.25, 10, 20, 403), (*ROW[:7], b"deny:b-1", b""))]))
    (event,) = batch.events()
    assert (event.outcome, event.name) == ("deny", "b-1")


@pytest.mark.parametrize(
    ("status", "details", "outcome"),
    [
        (503, b"portcullis_late", "error"),
        (0, b"", "error"),
        (200, b"via_upstream", "allow"),
        (403, b"rbac_access_denied", "deny"),
        (400, b"path_normalization_failed", "error"),
    ],
)
def test_of_what_nobody_judged_the_outcome_is_read_from_how_it_ended(status: int, details: bytes, outcome: str) -> None:
    batch, _ = edge_log(frame([((5.0, 0.0, 0, 0, status), (*ROW[:4], b"", b"", b"", b"", details))]))
    assert next(batch.events()).outcome == outcome


def test_a_batch_of_nothing_says_only_what_was_dropped() -> None:
    batch, dropped = edge_log(frame([], dropped=7))
    assert (len(batch), dropped) == (0, 7)


@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes_are_a_batch_or_refused(body: bytes, count: int) -> None:
    """Nothing but MalformedBatch is raised, and columns are of one length."""
    data = HEAD.pack(HEAD.size - 4 + len(body), count, 0) + body
    assert batch_length(data) == len(data)
    try:
        batch, _ = edge_log(data)
    except MalformedBatch:
        return
    assert len(list(batch.events())) == len(batch) == count


@given(st.integers(0, 2**32 - 1))
def test_a_length_that_no_batch_has_is_refused(length: int) -> None:
    try:
        assert EDGE_LOG_HEAD <= batch_length(HEAD.pack(length, 0, 0)) <= 32 << 20
    except MalformedBatch:
        assert not EDGE_LOG_HEAD <= length + 4 <= 32 << 20


async def test_batches_are_published_however_they_are_cut(tmp_path: Path) -> None:
    published: list[EventBatch] = []
    serving = asyncio.create_task(serve_edge_log(published.append, tmp_path / "s"))
    data = b"".join(frame([((float(n), 0.0, 0, 0, 200), ROW)]) for n in range(20))
    async with asyncio.timeout(5):
        while not (tmp_path / "s").exists():  # noqa: ASYNC110  # the loop's next turns
            await asyncio.sleep(0)
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        for start in range(0, len(data), 7):
            writer.write(data[start : start + 7])
            await writer.drain()
        while len(published) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0)
    writer.close()
    serving.cancel()
    assert [next(batch.events()).time for batch in published] == [float(n) for n in range(20)]
