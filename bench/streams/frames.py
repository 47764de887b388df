"""HTTP/2 frames (RFC 9113) and header blocks that need no state (RFC 7541): literals, as they are."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4
STATUS_200 = 0x88  # ":status: 200" of the static table
_HEAD = struct.Struct(">HBBBI")  # length (24 bits, the first 16 apart), type, flags, stream
_SETTING = struct.Struct(">HI")
_TABLE_SIZE, _PUSH, _STREAMS, _WINDOW = 1, 2, 3, 4  # RFC 9113 section 6.5.2
_STATIC = 61  # entries of the static table (RFC 7541 appendix A); those of the dynamic one follow, the newest first
_WIDE = 2**30  # bytes of flow control: nobody waits for a window


class Kind(IntEnum):
    """Types of frames that are read or written here."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8


class Flag(IntFlag):
    """Their flags; ACK is END_STREAM's bit on SETTINGS and PING."""

    END_STREAM = 1
    ACK = 1
    END_HEADERS = 4
    PADDED = 8
    PRIORITY = 32


class Frame(NamedTuple):
    """One frame as it was read."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Reader:
    """Bytes in, whole frames out."""

    def __init__(self, skip: int = 0) -> None:
        self._rest, self._skip = b"", skip  # `skip`: the preface's length, for who is the server

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Every frame that is whole now."""
        data, at = self._rest + data, self._skip
        while len(data) - at >= _HEAD.size:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            end = at + _HEAD.size + (high << 8 | low)
            if end > len(data):
                break
            yield Frame(kind, flags, stream, data[at + _HEAD.size : end])
            at = end
        self._rest, self._skip = data[at:], max(0, at - len(data))


def frame(kind: Kind, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame to write."""
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def opening() -> bytes:
    """What either side says first: no header is to be indexed, as many streams and bytes as wanted."""
    values = {_TABLE_SIZE: 0, _PUSH: 0, _STREAMS: 2**31 - 1, _WINDOW: _WIDE}
    settings = b"".join(_SETTING.pack(name, value) for name, value in values.items())
    window = frame(Kind.WINDOW_UPDATE, 0, 0, _WIDE.to_bytes(4, "big"))
    return frame(Kind.SETTINGS, 0, 0, settings) + window


def acknowledged(received: Frame) -> bytes:
    """The answer that a SETTINGS or PING asks for, or nothing."""
    if received.flags & Flag.ACK or received.kind not in (Kind.SETTINGS, Kind.PING):
        return b""
    payload = received.payload if received.kind == Kind.PING else b""
    return frame(Kind(received.kind), Flag.ACK, 0, payload)


def headers(stream: int, block: bytes) -> bytes:
    """HEADERS that more frames follow."""
    return frame(Kind.HEADERS, Flag.END_HEADERS, stream, block)


def message(stream: int, content: bytes, last: bool = False) -> bytes:
    """DATA with one gRPC message; `last` ends our side."""
    return frame(Kind.DATA, Flag.END_STREAM if last else 0, stream, framed(content))


def framed(content: bytes) -> bytes:
    """A message as gRPC frames it, not compressed."""
    return b"\0" + len(content).to_bytes(4, "big") + content


def block(*fields: tuple[str, str]) -> bytes:
    """A header block of literals without indexing (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def indexed(*fields: tuple[str, str]) -> tuple[bytes, bytes]:
    """A connection's first header block, of literals that its reader indexes (RFC 7541 section 6.2.1), and every one
    after it with the same fields, of their indices (section 6.1).
    """
    first = b"".join(b"\x40" + block(field)[1:] for field in fields)
    return first, bytes(0x80 | _STATIC + len(fields) - number for number in range(len(fields)))


def is_200(received: Frame) -> bool:
    """Whether a response's HEADERS say 200, from a peer that was told to index nothing."""
    if received.flags & (Flag.PADDED | Flag.PRIORITY):
        raise ValueError("padded or prioritised headers, which no peer here sends")
    return received.payload.lstrip(b"\x20")[:1] == bytes([STATUS_200])  # after the table's new size, 0


def _text(value: str) -> bytes:
    data = value.encode()
    return _length(len(data)) + data


def _length(count: int) -> bytes:
    """An integer with a prefix of 7 bits (RFC 7541 section 5.1)."""
    if count < 0x7F:
        return bytes([count])
    count, digits = count - 0x7F, bytearray([0x7F])
    while count >= 0x80:
        digits.append(count & 0x7F | 0x80)
        count >>= 7
    digits.append(count)
    return bytes(digits)
