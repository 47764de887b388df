import asyncio
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from telemetry import FrameError, frame, read_frame

DECODER = msgspec.msgpack.Decoder(dict[str, list[bytes]])
messages = st.dictionaries(st.text(max_size=5), st.lists(st.binary(max_size=20), max_size=3), max_size=3)


async def read_all(data: bytes) -> list[Any]:
    """Frames until the stream ends cleanly. Raises FrameError."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while True:
        try:
            found.append(await read_frame(reader, DECODER, limit=1000))
        except EOFError:
            return found


@given(st.lists(messages, max_size=4))
def test_frames_come_back(sent: list[dict[str, list[bytes]]]) -> None:
    """What was framed is read, in order."""
    assert asyncio.run(read_all(b"".join(frame(message) for message in sent))) == sent


@given(st.lists(messages, max_size=2), st.binary(max_size=100))
def test_any_bytes(sent: list[dict[str, list[bytes]]], tail: bytes) -> None:
    """Any bytes, after good frames or none, are frames, a clean end, or FrameError: never another exception."""
    try:
        asyncio.run(read_all(b"".join(frame(message) for message in sent) + tail))
    except FrameError:
        return
