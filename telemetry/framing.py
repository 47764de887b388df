"""Frames between our own processes over a Unix socket: four bytes of big-endian length, then a msgpack value."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, TypeVar

import msgspec

MAX_FRAME = 64 * 1024 * 1024  # bytes; a longer frame is the peer's fault
_LENGTH = struct.Struct(">I")
_ENCODER = msgspec.msgpack.Encoder()
T = TypeVar("T")


class FrameError(ValueError):
    """The peer sent something that is not a frame of the expected type."""


def frame(message: Any) -> bytes:
    """Encode one message, any msgspec-encodable value, with its length. Raises FrameError beyond MAX_FRAME."""
    body = _ENCODER.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"frame of {len(body)} bytes, limit {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[T], limit: int = MAX_FRAME) -> T:
    """Read the next message.

    Raises EOFError when the peer closed between frames, FrameError when it closed within one,
    exceeds `limit` bytes or sends another type than the decoder's.
    """
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise FrameError("closed within a frame's length") from error
        raise EOFError from None
    if length > limit:
        raise FrameError(f"frame of {length} bytes, limit {limit}")
    try:
        return decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(str(error)) from error
