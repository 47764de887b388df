"""HTTP/2's frames and header fields (RFC 9113 section 4, RFC 7541), as far as our gRPC server writes and reads them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4
PAYLOAD: Final = 16_384  # bytes of one frame's payload, either way (section 4.2)
NUMBER: Final = struct.Struct(">I")
SETTING: Final = struct.Struct(">HI")
END_STREAM: Final = 1
ACK: Final = 1
END_HEADERS: Final = 4
PADDED: Final = 8
PRIORITY: Final = 32
MAX_CONCURRENT_STREAMS: Final = 3  # settings (section 6.5.2)
INITIAL_WINDOW_SIZE: Final = 4
NO_ERROR: Final = 0  # errors (section 7)
PROTOCOL_ERROR: Final = 1
REFUSED_STREAM: Final = 7
_HEAD = struct.Struct(">HBBBI")  # the length's first 16 bits and its last 8, type, flags, stream


class Violation(Exception):
    """The peer did what RFC 9113 forbids."""


class Kind(IntEnum):
    """A frame's type (section 6). Others are passed over."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Frame(NamedTuple):
    """A frame as it was read."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Frames:
    """Bytes in, whole frames out, after the client's preface."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False

    def read(self, data: bytes) -> Iterator[Frame]:
        """Every frame that is whole now. Raises Violation."""
        self._rest += data
        if self._begun or self._begin():
            yield from self._whole()

    def _begin(self) -> bool:
        if not PREFACE.startswith(self._rest[: len(PREFACE)]):
            raise Violation("no HTTP/2 preface")
        if len(self._rest) >= len(PREFACE):
            self._begun, self._rest = True, self._rest[len(PREFACE) :]
        return self._begun

    def _whole(self) -> Iterator[Frame]:
        data, at = self._rest, 0
        while len(data) - at >= _HEAD.size:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            start, length = at + _HEAD.size, high << 8 | low
            if length > PAYLOAD:
                raise Violation("a frame is too large")
            if start + length > len(data):
                break
            at = start + length
            yield Frame(kind, flags, stream & 0x7FFFFFFF, data[start:at])
        self._rest = data[at:]


def frame(kind: Kind, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame to write."""
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def unpadded(data: Frame) -> bytes:
    """A DATA or HEADERS frame's content. Raises Violation."""
    if not data.flags & PADDED:
        return data.payload
    if not data.payload or data.payload[0] >= len(data.payload):
        raise Violation("more padding than there is")
    return data.payload[1 : len(data.payload) - data.payload[0]]


def block_of(headers: Frame) -> bytes:
    """The part of a header block in a HEADERS frame. Raises Violation."""
    content = unpadded(headers)
    return content[5:] if headers.flags & PRIORITY else content  # a stream's priority has 5 bytes


def number(update: Frame) -> int:
    """The 31 bits of a WINDOW_UPDATE. Raises Violation."""
    if len(update.payload) != NUMBER.size:
        raise Violation("WINDOW_UPDATE of a wrong size")
    return int(NUMBER.unpack(update.payload)[0]) & 0x7FFFFFFF


def field(name: str, value: str) -> bytes:
    """A header field, literal and not indexed (RFC 7541 section 6.2.2). ASCII alone."""
    return b"\0" + _text(name) + _text(value)


def _text(value: str) -> bytes:
    data = value.encode("ascii")
    if len(data) < 0x7F:  # an integer with a prefix of 7 bits (RFC 7541 section 5.1)
        return bytes([len(data)]) + data
    rest, digits = len(data) - 0x7F, bytearray([0x7F])
    while rest >= 0x80:
        digits.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(digits) + bytes([rest]) + data
