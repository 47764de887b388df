"""Lanes: connections of the open loop's caller, which tell whose answer it is that they read."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Protocol

from bench.edges.variant import ANSWER, ASKED
from bench.result import CannotRun
from bench.streams.frames import PREFACE, Flag, Kind, Reader, acknowledged, framed, headers, indexed, message, opening

HOST = "127.0.0.1"
_READ = 65536
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_ANSWER = framed(ANSWER)


class Lane(Protocol):
    """One connection. Requests are named by when they were due."""

    socket: socket.socket
    room: int  # requests that may be under way at the same time

    def send(self, due: int) -> None:
        """Ask once more."""

    def received(self) -> Sequence[int]:
        """Read what is there; the requests that it answers. Raises CannotRun for one that was refused."""


class Http1:
    """HTTP/1.1, one request after the other."""

    room = 1

    def __init__(self, connection: socket.socket, path: str, token: str) -> None:
        self.socket = connection
        self._request = f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\r\n".encode()
        self._due, self._rest = 0, b""

    def send(self, due: int) -> None:
        """Ask once more."""
        self._due = due
        self.socket.sendall(self._request)

    def received(self) -> Sequence[int]:
        """The request, once its answer is whole."""
        self._rest += _read(self.socket)
        head = self._rest.find(_HEAD_END)
        if head < 0:
            return ()
        if not self._rest.startswith(b"HTTP/1.1 200 "):
            raise CannotRun(f"answered with {self._rest[:40]!r}")
        length = int(self._rest[:head].lower().partition(_LENGTH)[2].partition(b"\r")[0])
        if len(self._rest) < head + len(_HEAD_END) + length:
            return ()
        self._rest = b""
        return (self._due,)


class Grpc:
    """gRPC unary calls over HTTP/2, many at a time."""

    def __init__(self, connection: socket.socket, path: str, token: str, room: int) -> None:
        self.socket, self.room = connection, room
        self._next, self._due, self._answered = 1, dict[int, int](), set[int]()
        self._reader = Reader()
        self._first, self._again = indexed(
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", HOST),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", f"Bearer {token}"),
        )
        connection.sendall(PREFACE + opening())

    def send(self, due: int) -> None:
        """Ask once more."""
        stream, self._next = self._next, self._next + 2
        self._due[stream] = due
        block = self._again if stream > 1 else self._first
        self.socket.sendall(headers(stream, block) + message(stream, ASKED, last=True))

    def received(self) -> Sequence[int]:
        """Calls that have their message and their trailers."""
        done = []
        for frame in self._reader.feed(_read(self.socket)):
            if frame.kind == Kind.DATA and frame.payload == _ANSWER:
                self._answered.add(frame.stream)
            elif answer := acknowledged(frame):
                self.socket.sendall(answer)
            if frame.kind == Kind.GOAWAY or (frame.kind == Kind.RST_STREAM and frame.stream in self._due):
                raise CannotRun(f"a call was reset: {frame}")
            if frame.kind in (Kind.DATA, Kind.HEADERS) and frame.flags & Flag.END_STREAM:
                done.append(self._ended(frame.stream))
        return done

    def _ended(self, stream: int) -> int:
        if stream not in self._answered:
            raise CannotRun("a call ended without its message")
        self._answered.discard(stream)
        return self._due.pop(stream)


def connection(port: int, protocol: str, tls: bool) -> socket.socket:
    """A connection for one lane, over TLS speaking `protocol`. Raises OSError."""
    made = socket.create_connection((HOST, port), timeout=10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # what is under way fits: sending never waits
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # of an edge that was just made
        context.set_alpn_protocols([protocol])
        made = context.wrap_socket(made)
    made.setblocking(False)
    return made


def _read(connection: socket.socket) -> bytes:
    """What is there now. Raises CannotRun at the end."""
    parts = []
    try:
        while True:
            parts.append(connection.recv(_READ))
            if not parts[-1]:
                raise CannotRun("the edge closed a connection")
            if not isinstance(connection, ssl.SSLSocket):
                break
    except (ssl.SSLWantReadError, BlockingIOError):  # TLS hands out one record after the other
        pass
    return b"".join(parts)
