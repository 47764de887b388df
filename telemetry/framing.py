"""Frames between our own processes over a Unix socket: four bytes of big-endian length, then a msgpack value."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np

MAX_FRAME = 64 * 1024 * 1024  # bytes; a longer frame is the peer's fault
_LENGTH = struct.Struct(">I")
_ENCODER = msgspec.msgpack.Encoder()
T = TypeVar("T")


class FrameError(ValueError):
    """The peer sent something that is not a frame of the expected type."""


class Reader(Protocol):
    """Where bytes come from."""

    async def readexactly(self, n: int, /) -> bytes | memoryview:
        """So many bytes. Raises asyncio.IncompleteReadError where the peer closed before."""
        ...


class SocketReader:
    """Reads from a non-blocking socket into memory that is large enough: a StreamReader hands on piece by piece, which
    for frames of megabytes costs more than what is done with them.
    """

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()

    async def readexactly(self, n: int, /) -> memoryview:
        """So many bytes. Raises asyncio.IncompleteReadError, OSError."""
        whole, there = np.empty(n, np.uint8).data, 0
        while there < n:
            more = await self._loop.sock_recv_into(self._source, whole[there:])
            if not more:
                raise asyncio.IncompleteReadError(bytes(whole[:there]), n)
            there += more
        return whole


def frame(message: Any) -> bytes:
    """Encode one message, any msgspec-encodable value, with its length. Raises FrameError beyond MAX_FRAME."""
    body = _ENCODER.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"frame of {len(body)} bytes, limit {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: Reader, decoder: msgspec.msgpack.Decoder[T], limit: int = MAX_FRAME) -> T:
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
