"""HTTP/2 (RFC 9113) and gRPC's framing, as far as a server needs them whose one peer is the edge.

Bytes in, events out; no socket and no clock. Left out on purpose: header blocks are passed over unread, for the socket
serves one method; a stream's own window is never widened, for it says two messages in all. What breaks the rules of
RFC 9113 raises `Violation`, and ends the connection and every stream on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.enforcement.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    INITIAL_WINDOW_SIZE,
    NUMBER,
    PAYLOAD,
    PROTOCOL_ERROR,
    SETTING,
    Frame,
    Frames,
    Kind,
    Violation,
    field,
    frame,
    number,
    unpadded,
)

# Of gRPC's statuses those that end a tether.
OK, INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 7, 8, 12, 13
LARGEST: Final = 128 * 1024  # bytes of one message: the edge's headers are 96 KiB at most
_STREAM_WINDOW = 2 * LARGEST  # bytes
_WINDOW = 16 * 1024 * 1024  # bytes that may be under way to us on one connection
_DEFAULT_WINDOW = 65_535  # bytes (section 6.9.2)
_WIDEST = 2**31 - 1  # bytes (section 6.9.1)
_REASON = 200  # characters of a reason that the peer is told
_PREFIX = 5  # bytes before a gRPC message: whether it is compressed, and its length
_AS_IT_IS = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # in a grpc-message
_RESPONSE = b"\x88" + field("content-type", "application/grpc")  # 0x88: ":status: 200" of the static table


class Message(NamedTuple):
    """A whole gRPC message."""

    stream: int
    content: bytes


class Ended(NamedTuple):
    """A stream is over: the peer reset it, or says no more on it, or was not understood."""

    stream: int


Event = Message | Ended


class Http2:
    """One connection, from the server's side. What is to be written gathers until it is `taken`."""

    def __init__(self) -> None:
        settings = SETTING.pack(INITIAL_WINDOW_SIZE, _STREAM_WINDOW)
        window = NUMBER.pack(_WINDOW - _DEFAULT_WINDOW)
        self._out = [frame(Kind.SETTINGS, 0, 0, settings), frame(Kind.WINDOW_UPDATE, 0, 0, window)]
        self._frames = Frames()
        self._continued = False  # a header block goes on in the next frame
        self._streams: dict[int, bytes] = {}  # those that live, and what came of a message that is not whole
        self._answered: set[int] = set()  # those whose response has begun
        self._newest = 0
        self._heard = 0  # bytes since the connection's window was widened
        self._window = _DEFAULT_WINDOW  # bytes that the peer takes now
        self._waiting: deque[tuple[int, bytes, int]] = deque()  # stream, frames, bytes of window: until it takes more

    def receive(self, data: bytes) -> Iterator[Event]:
        """What these bytes say, in order. Raises Violation."""
        for received in self._frames.read(data):
            yield from self._received(received)

    def send(self, stream: int, content: bytes, last: bool = False) -> None:
        """One message; `last` ends the stream well. Nothing on a stream that is over."""
        if stream not in self._streams:
            return
        data = b"\0" + NUMBER.pack(len(content)) + content
        frames = (frame(Kind.DATA, 0, stream, data[at : at + PAYLOAD]) for at in range(0, len(data), PAYLOAD))
        parts = [self._head(stream), *frames, *([self._end(stream, OK, "")] if last else [])]
        self._waiting.append((stream, b"".join(parts), len(data)))
        self._write()

    def abort(self, stream: int, status: int, reason: str) -> None:
        """End a stream at once, before what still waits to be sent on it."""
        if stream in self._streams:
            self._forget(stream)
            self._out.append(self._end(stream, status, reason))

    def taken(self) -> bytes:
        """What is to be written now, once."""
        out, self._out = b"".join(self._out), []
        return out

    def goodbye(self) -> bytes:
        """The last frame to one who broke the rules (section 6.8)."""
        return frame(Kind.GOAWAY, 0, 0, NUMBER.pack(self._newest) + NUMBER.pack(PROTOCOL_ERROR))

    def _received(self, received: Frame) -> Iterator[Event]:
        if self._continued != (received.kind == Kind.CONTINUATION):
            raise Violation("a header block is broken off, or goes on without a start")
        match received.kind:
            case Kind.DATA:
                yield from self._data(received)
            case Kind.HEADERS:
                self._continued = not received.flags & END_HEADERS
                yield from self._headers(received)
            case Kind.CONTINUATION:
                self._continued = not received.flags & END_HEADERS
            case Kind.RST_STREAM:
                yield from self._reset(received)
            case Kind.SETTINGS:
                self._settings(received)
            case Kind.PUSH_PROMISE:
                raise Violation("a client does not push")
            case Kind.PING:
                self._ping(received)
            case Kind.WINDOW_UPDATE:
                self._widened(received)

    def _headers(self, received: Frame) -> Iterator[Event]:
        stream = received.stream
        if not stream % 2:
            raise Violation("a stream that a client cannot open")
        if stream > self._newest:
            self._newest = stream
            self._streams[stream] = b""
        if received.flags & END_STREAM:
            yield from self._half_closed(stream)

    def _data(self, received: Frame) -> Iterator[Event]:
        self._opened(received)
        self._hear(len(received.payload))
        content, stream = unpadded(received), received.stream
        if stream not in self._streams:
            return  # it was ended from here while this was under way
        yield from self._messages(stream, self._streams[stream] + content)
        if received.flags & END_STREAM:
            yield from self._half_closed(stream)

    def _messages(self, stream: int, data: bytes) -> Iterator[Event]:
        while stream in self._streams and len(data) >= _PREFIX:
            end = _PREFIX + NUMBER.unpack_from(data, 1)[0]
            if data[0] or end > _PREFIX + LARGEST:
                self.abort(stream, UNIMPLEMENTED if data[0] else RESOURCE_EXHAUSTED, "compressed or too large")
                yield Ended(stream)
            elif len(data) < end:
                break
            else:
                content, data = data[_PREFIX:end], data[end:]
                yield Message(stream, content)
        if stream in self._streams:  # no answer was its last
            self._streams[stream] = data

    def _half_closed(self, stream: int) -> Iterator[Event]:
        """The peer says no more: nor do we."""
        if stream in self._streams:
            self.abort(stream, OK, "")
            yield Ended(stream)

    def _reset(self, received: Frame) -> Iterator[Event]:
        self._opened(received)
        self._forget(received.stream)
        self._answered.discard(received.stream)
        if self._streams.pop(received.stream, None) is not None:
            yield Ended(received.stream)

    def _settings(self, received: Frame) -> None:
        if len(received.payload) % SETTING.size:
            raise Violation("SETTINGS of a wrong size")
        for name, value in SETTING.iter_unpack(received.payload):
            if name == INITIAL_WINDOW_SIZE and value < _DEFAULT_WINDOW:
                raise Violation("a window that no answer fits in")  # the RFC allows it; the edge never asks for it
        if not received.flags & ACK:
            self._out.append(frame(Kind.SETTINGS, ACK, 0))

    def _ping(self, received: Frame) -> None:
        if len(received.payload) != 8:
            raise Violation("PING of a wrong size")
        if not received.flags & ACK:
            self._out.append(frame(Kind.PING, ACK, 0, received.payload))

    def _widened(self, received: Frame) -> None:
        more = number(received)
        if received.stream == 0:  # a stream's own is wide enough for all that we say on it
            self._window += more
            if self._window > _WIDEST:
                raise Violation("a window is too wide")
            self._write()

    def _opened(self, received: Frame) -> None:
        if not 0 < received.stream <= self._newest:
            raise Violation("a stream that nobody opened")

    def _hear(self, count: int) -> None:
        self._heard += count
        if self._heard >= _WINDOW // 2:
            self._out.append(frame(Kind.WINDOW_UPDATE, 0, 0, NUMBER.pack(self._heard)))
            self._heard = 0

    def _write(self) -> None:
        while self._waiting and self._waiting[0][2] <= self._window:
            _, frames, cost = self._waiting.popleft()
            self._window -= cost
            self._out.append(frames)

    def _forget(self, stream: int) -> None:
        if self._waiting:
            self._waiting = deque(each for each in self._waiting if each[0] != stream)

    def _head(self, stream: int) -> bytes:
        if stream in self._answered:
            return b""
        self._answered.add(stream)
        return frame(Kind.HEADERS, END_HEADERS, stream, _RESPONSE)

    def _end(self, stream: int, status: int, reason: str) -> bytes:
        """Trailers, and word that what the peer might still say is not wanted (section 8.1)."""
        del self._streams[stream]
        head = b"" if stream in self._answered else _RESPONSE
        self._answered.discard(stream)
        told = field("grpc-message", quote(reason[:_REASON], safe=_AS_IT_IS)) if reason else b""
        trailers = head + field("grpc-status", str(status)) + told
        ended = frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, trailers)
        return ended + frame(Kind.RST_STREAM, 0, stream, NUMBER.pack(0))
