import asyncio

import msgspec
import pytest

from telemetry import FrameError, frame, framing, read_frame

TEXTS = msgspec.msgpack.Decoder(list[str])


def reader(data: bytes) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return stream


async def test_frames_come_one_after_another_until_the_end() -> None:
    stream = reader(frame(["a"]) + frame([]))
    assert await read_frame(stream, TEXTS) == ["a"]
    assert await read_frame(stream, TEXTS) == []
    with pytest.raises(EOFError):
        await read_frame(stream, TEXTS)


@pytest.mark.parametrize("cut", [1, 3, 4, 6])
async def test_a_stream_that_ends_within_a_frame_is_an_error(cut: int) -> None:
    with pytest.raises(FrameError):
        await read_frame(reader(frame(["abc"])[:cut]), TEXTS)


async def test_another_type_is_an_error() -> None:
    with pytest.raises(FrameError):
        await read_frame(reader(frame({"a": 1})), TEXTS)


async def test_a_length_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(FrameError, match="limit 8"):
        await read_frame(reader(b"\x7f\xff\xff\xff"), TEXTS, limit=8)


def test_nothing_longer_than_the_limit_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_FRAME", 8)
    with pytest.raises(FrameError, match="limit 8"):
        frame(b"123456789")
