"""Fuzz: what comes over `detectors.sock`, in either direction."""

from __future__ import annotations

import asyncio
import struct

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from detectors import Batch, Hello, Verdict, Verdicts, batch_decoder, verdicts_decoder
from telemetry import FrameError, frame, read_frame

texts = st.text(max_size=20)
numbers = st.floats()
verdicts = st.builds(
    Verdict,
    id=texts,
    time=numbers,
    detector=texts,
    kind=st.sampled_from(["principal", "actor", "session", "address", "host"]),
    subject=texts,
    score=numbers,
    threshold=numbers,
    evidence=st.lists(texts, max_size=3).map(tuple),
    technique=texts,
    model=texts,
    since=numbers,
)


async def read(
    data: bytes, decoder: msgspec.msgpack.Decoder[Hello | Batch] | msgspec.msgpack.Decoder[Verdicts]
) -> object:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    try:
        return await read_frame(reader, decoder)  # type: ignore[arg-type]
    except (EOFError, FrameError) as error:
        return error


@given(st.binary(max_size=200))
@example(frame({"type": "Verdicts", "verdicts": [], "number": 1}))
@example(frame({"type": "Batch", "data": b"", "number": 1}))
@example(frame({"type": "Hello", "stream": "s"}))
@example(frame({"type": "Verdicts", "verdicts": [{"score": 2}], "number": 1}))
def test_any_bytes_are_a_message_or_a_refusal(data: bytes) -> None:
    """Invariant: any bytes, framed or not, give one message of the expected type, or EOFError or FrameError."""
    for body in (data, struct.pack(">I", len(data)) + data):
        assert isinstance(asyncio.run(read(body, verdicts_decoder())), Verdicts | EOFError | FrameError)
        assert isinstance(asyncio.run(read(body, batch_decoder())), Hello | Batch | EOFError | FrameError)


@given(st.lists(verdicts, max_size=3), st.integers(0, 2**40))
def test_scores_that_are_none_never_reach_the_gateway(told: list[Verdict], number: int) -> None:
    """Invariant: what is decoded has scores and thresholds within 0 and 1; anything else is refused, and only that."""
    sound = all(0 <= verdict.score <= 1 and 0 <= verdict.threshold <= 1 for verdict in told)
    body = frame({"type": "Verdicts", "verdicts": told, "number": number})
    result = asyncio.run(read(body, verdicts_decoder()))
    assert isinstance(result, Verdicts if sound else FrameError)
