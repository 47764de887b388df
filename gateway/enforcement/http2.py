"""HTTP/2 (RFC 9113) and gRPC's framing, as far as a server needs them whose peers are Envoys.

Bytes in, events out; no socket and no clock. Left out on purpose: where one method is served, header blocks are passed
over unread and a stream's own window is never widened, for our edge says two messages on it in all. What breaks the
rules of RFC 9113 raises `Violation`, and ends the connection and every stream on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.enforcement.hpack import Blocks
from gateway.enforcement.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    NUMBER,
    PAYLOAD,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTING,
    Frame,
    Frames,
    Kind,
    Violation,
    block_of,
    field,
    frame,
    number,
    unpadded,
)

# Of gRPC's statuses those that end a stream here.
OK, INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 7, 8, 12, 13
LARGEST: Final = 128 * 1024  # bytes of one message: the edge's headers are 96 KiB at most
_LONGEST_BLOCK = 64 * 1024  # bytes of one header block
_WINDOW = 16 * 1024 * 1024  # bytes that may be under way to us on one connection
_DEFAULT_WINDOW = 65_535  # bytes (section 6.9.2)
_WIDEST = 2**31 - 1  # bytes (section 6.9.1)
_REASON = 200  # characters of a reason that the peer is told
_PREFIX = 5  # bytes before a gRPC message: whether it is compressed, and its length
_AS_IT_IS = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # in a grpc-message
_RESPONSE = b"\x88" + field("content-type", "application/grpc")  # 0x88: ":status: 200" of the static table


class Http2Bounds(NamedTuple):
    """What one peer may have us keep."""

    largest: int = LARGEST  # bytes of one message
    streams: int = _WIDEST  # that live at once; further ones are refused
    unfinished: int = _WIDEST  # bytes of messages that are not whole, together


EDGE: Final = Http2Bounds()  # our own edge's, which keeps bounds of its own


class Begun(NamedTuple):
    """A stream for a method, told where methods are read."""

    stream: int
    path: str


class Message(NamedTuple):
    """A whole gRPC message."""

    stream: int
    content: bytes


class Finished(NamedTuple):
    """The peer says no more on a stream, and waits for its end."""

    stream: int


class Ended(NamedTuple):
    """A stream is over: the peer reset it, or was not understood."""

    stream: int


Event = Begun | Message | Finished | Ended


class Http2:
    """One connection, from the server's side. What is to be written gathers until it is `taken`."""

    def __init__(self, bounds: Http2Bounds = EDGE, *, methods: bool = False) -> None:
        """`methods`: whether several are served, so that header blocks are read, and streams may be long."""
        self._bounds = bounds
        self._blocks = Blocks() if methods else None
        settings = ((INITIAL_WINDOW_SIZE, 2 * bounds.largest), (MAX_CONCURRENT_STREAMS, bounds.streams))
        window = NUMBER.pack(_WINDOW - _DEFAULT_WINDOW)
        self._out = [
            frame(Kind.SETTINGS, 0, 0, b"".join(SETTING.pack(*each) for each in settings)),
            frame(Kind.WINDOW_UPDATE, 0, 0, window),
        ]
        self._frames = Frames()
        self._continued: Frame | None = None  # which began a header block that goes on in the next frame
        self._block = b""
        self._streams: dict[int, bytes] = {}  # those that live, and what came of a message that is not whole
        self._unfinished = 0  # bytes of those messages
        self._answered: set[int] = set()  # those whose response has begun
        self._finished: set[int] = set()  # those on which the peer says no more
        self._newest = 0
        self._heard = 0  # bytes since the connection's window was widened
        self._window = _DEFAULT_WINDOW  # bytes that the peer takes now
        self._waiting: deque[tuple[int, bytes, int]] = deque()  # stream, frames, bytes of window: until it takes more

    @property
    def living(self) -> int:
        """How many streams live."""
        return len(self._streams)

    @property
    def newest(self) -> int:
        """The number of the stream that was opened last, 0 for none."""
        return self._newest

    def receive(self, data: bytes) -> Iterator[Event]:
        """What these bytes say, in order. Raises Violation."""
        for received in self._frames.read(data):
            yield from self._received(received)

    def send(self, stream: int, content: bytes, last: bool = False) -> bool:
        """One message; `last` ends the stream well. Whether the stream goes on: nothing is said on one that is over,
        and what fits into no window ends it, for a peer that is sent more than it takes ends the connection.
        """
        if stream not in self._streams:
            return False
        data = b"\0" + NUMBER.pack(len(content)) + content
        if len(data) > _DEFAULT_WINDOW:
            self.abort(stream, RESOURCE_EXHAUSTED, "the answer is too large")
            return False
        frames = (frame(Kind.DATA, 0, stream, data[at : at + PAYLOAD]) for at in range(0, len(data), PAYLOAD))
        parts = [self._head(stream), *frames, *([self._end(stream, OK, "")] if last else [])]
        self._waiting.append((stream, b"".join(parts), len(data)))
        self._write()
        return not last

    def abort(self, stream: int, status: int, reason: str) -> None:
        """End a stream at once, before what still waits to be sent on it."""
        if stream in self._streams:
            self._forget(stream)
            self._out.append(self._end(stream, status, reason))

    def taken(self) -> bytes:
        """What is to be written now, once."""
        out, self._out = b"".join(self._out), []
        return out

    def ping(self) -> None:
        """Ask the peer whether it is there (section 6.7)."""
        self._out.append(frame(Kind.PING, 0, 0, bytes(8)))

    def goodbye(self, error: int = PROTOCOL_ERROR) -> bytes:
        """The last frame, for one who broke the rules, or to whom nothing more is said (section 6.8)."""
        return frame(Kind.GOAWAY, 0, 0, NUMBER.pack(self._newest) + NUMBER.pack(error))

    def _received(self, received: Frame) -> Iterator[Event]:
        if (self._continued is not None) != (received.kind == Kind.CONTINUATION):
            raise Violation("a header block is broken off, or goes on without a start")
        match received.kind:
            case Kind.DATA:
                yield from self._data(received)
            case Kind.HEADERS:
                if not received.stream % 2:
                    raise Violation("a stream that a client cannot open")
                self._block = b""
                yield from self._headers(received, received, block_of(received))
            case Kind.CONTINUATION:
                yield from self._headers(self._continued or received, received, received.payload)
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

    def _headers(self, first: Frame, received: Frame, part: bytes) -> Iterator[Event]:
        """A part of the header block that `first` began."""
        self._block += part
        if received.stream != first.stream or len(self._block) > _LONGEST_BLOCK:
            raise Violation("a header block of two streams, or one without an end")
        self._continued = None if received.flags & END_HEADERS else first
        if self._continued is None:
            path = self._blocks.path(self._block) if self._blocks else ""
            if first.stream in self._finished:
                raise Violation("a stream goes on after its end")
            yield from self._begun(first.stream, path)
            if first.flags & END_STREAM and first.stream in self._streams:
                self._finished.add(first.stream)
                yield Finished(first.stream)

    def _begun(self, stream: int, path: str) -> Iterator[Event]:
        if stream <= self._newest:
            return  # trailers, or a stream that was ended from here while they were under way
        self._newest = stream
        if len(self._streams) >= self._bounds.streams:
            self._out.append(frame(Kind.RST_STREAM, 0, stream, NUMBER.pack(REFUSED_STREAM)))
            return
        self._streams[stream] = b""
        if self._blocks:
            yield Begun(stream, path)

    def _data(self, received: Frame) -> Iterator[Event]:
        self._opened(received)
        self._hear(len(received.payload))
        content, stream, last = unpadded(received), received.stream, received.flags & END_STREAM
        if stream not in self._streams:
            return  # it was ended from here while this was under way
        if stream in self._finished:
            raise Violation("a stream goes on after its end")
        if last:
            self._finished.add(stream)
        yield from self._messages(stream, self._rest(stream) + content)
        if stream in self._streams and last:
            yield Finished(stream)
        elif stream in self._streams and self._blocks and received.payload:
            self._out.append(frame(Kind.WINDOW_UPDATE, 0, stream, NUMBER.pack(len(received.payload))))

    def _rest(self, stream: int) -> bytes:
        """What came before of a message that was not whole."""
        data = self._streams[stream]
        if data:
            self._unfinished -= len(data)
            self._streams[stream] = b""
        return data

    def _messages(self, stream: int, data: bytes) -> Iterator[Event]:
        while stream in self._streams and len(data) >= _PREFIX:
            end = _PREFIX + NUMBER.unpack_from(data, 1)[0]
            if data[0] or end > _PREFIX + self._bounds.largest:
                self.abort(stream, UNIMPLEMENTED if data[0] else RESOURCE_EXHAUSTED, "compressed or too large")
                yield Ended(stream)
            elif len(data) < end:
                break
            else:
                content, data = data[_PREFIX:end], data[end:]
                yield Message(stream, content)
        if data and stream in self._streams:  # no answer was its last
            yield from self._keep(stream, data)

    def _keep(self, stream: int, data: bytes) -> Iterator[Event]:
        """The beginning of a message."""
        if self._unfinished + len(data) > self._bounds.unfinished:
            self.abort(stream, RESOURCE_EXHAUSTED, "too many messages at once")
            yield Ended(stream)
            return
        self._unfinished += len(data)
        self._streams[stream] = data

    def _reset(self, received: Frame) -> Iterator[Event]:
        self._opened(received)
        stream = received.stream
        self._forget(stream)
        self._answered.discard(stream)
        if stream in self._streams:
            self._close(stream)
            yield Ended(stream)

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
        """Trailers, and where the peer might still say something, word that it is not wanted (section 8.1)."""
        finished = stream in self._finished
        self._close(stream)
        head = b"" if stream in self._answered else _RESPONSE
        self._answered.discard(stream)
        told = field("grpc-message", quote(reason[:_REASON], safe=_AS_IT_IS)) if reason else b""
        trailers = head + field("grpc-status", str(status)) + told
        ended = frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, trailers)
        return ended if finished else ended + frame(Kind.RST_STREAM, 0, stream, NUMBER.pack(0))

    def _close(self, stream: int) -> None:
        self._unfinished -= len(self._streams.pop(stream))
        self._finished.discard(stream)
