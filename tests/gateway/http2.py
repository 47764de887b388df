"""One HTTP/2 request as no library would send it, and the status of its answer."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4
_STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}  # RFC 7541 appendix A
_DIGITS = {5: "012", 6: "3456789"}  # RFC 7541 appendix B: bits -> digits, in the order of their codes
_FIRST = {5: 0b00000, 6: 0b011001}  # the code of the first of them
_SECONDS = 10.0


async def ask(
    port: int,
    headers: Iterable[tuple[str | bytes, str | bytes]],
    *data: bytes,
    trailers: Iterable[tuple[str, str]] = (),
    trust: ssl.SSLContext | None = None,
) -> int:
    """The status of a request with these headers, pseudo-headers first, with a DATA frame for each of `data`, and with
    these trailers; 0 where the edge only closed the connection or reset the stream.
    """
    reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
    try:
        writer.write(PREFACE + frame(_SETTINGS, 0, 0, b"") + _request(headers, data, tuple(trailers)))
        async with asyncio.timeout(_SECONDS):
            return await _status(reader)
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0
    finally:
        writer.close()


def _request(
    headers: Iterable[tuple[str | bytes, str | bytes]], data: tuple[bytes, ...], trailers: tuple[tuple[str, str], ...]
) -> bytes:
    bodies = [frame(_DATA, 0, 1, body) for body in data]
    if bodies and not trailers:
        bodies[-1] = frame(_DATA, _END_STREAM, 1, data[-1])
    last = headers_frame(1, trailers) if trailers else b""
    return headers_frame(1, headers, not data and not trailers) + b"".join(bodies) + last


def headers_frame(stream: int, headers: Iterable[tuple[str | bytes, str | bytes]], ends: bool = True) -> bytes:
    """Headers, or trailers, of one stream, which `ends` with them or does not."""
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)
    return frame(_HEADERS, _END_HEADERS | (_END_STREAM if ends else 0), stream, block)


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """RFC 9113 section 4.1."""
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def _text(text: str | bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541 section 5.2)."""
    raw = text.encode("latin-1") if isinstance(text, str) else text
    return _length(len(raw)) + raw


def _length(number: int) -> bytes:
    if number < 127:
        return bytes([number])
    rest, encoded = number - 127, [127]
    while rest >= 128:
        encoded.append(rest % 128 + 128)
        rest //= 128
    return bytes([*encoded, rest])


async def _status(reader: asyncio.StreamReader) -> int:
    while True:
        head = await reader.readexactly(9)
        body = await reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == _HEADERS:
            return _status_of(body)
        if head[3] in (_RESET, _GOAWAY):
            return 0


def _status_of(block: bytes) -> int:
    """`:status`, which comes first, after what may be said of the table's size."""
    while block[0] & 0xE0 == 0x20:
        block = block[1:]
    if block[0] & 0x80:
        return _STATUSES[block[0] & 0x7F]
    size = block[1] & 0x7F
    raw = block[2 : 2 + size]
    return int(_digits(raw) if block[1] & 0x80 else raw)


def _digits(raw: bytes) -> str:
    bits, digits = "".join(f"{byte:08b}" for byte in raw), ""
    while len(digits) < 3:
        size = 5 if int(bits[:5], 2) < 3 else 6
        digits += _DIGITS[size][int(bits[:size], 2) - _FIRST[size]]
        bits = bits[size:]
    return digits
