"""One connection of the probe: asks over HTTP/1.1, and notes who decided and when that was read."""

from __future__ import annotations

import socket
import time

import msgspec

from bench.edges.lanes import HOST, connection
from bench.result import CannotRun

_READ = 65536
_HEAD_END = b"\r\n\r\n"
_LENGTH, _MARK = b"\r\ncontent-length: ", "\r\n{}: "


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """One answer. Moments are CLOCK_MONOTONIC in nanoseconds."""

    lane: int
    asked: int
    answered: int
    status: int
    mark: str  # by whose decision, or by what state; empty where it does not say


class Lane:
    """Requests on it go one after the other. `header`: of the answer, which tells by what it was given."""

    def __init__(self, number: int, port: int, header: str) -> None:
        """Raises OSError."""
        self.number = number
        self.socket: socket.socket = connection(port, "http/1.1", tls=False)
        self._mark = _MARK.format(header).encode()
        self._asked, self._rest = 0, b""

    def ask(self, request: bytes) -> None:
        """Ask; an answer must have come before."""
        self._asked = time.monotonic_ns()
        self.socket.sendall(request)

    def answer(self) -> Sample | None:
        """What has come, once it is whole. Raises CannotRun where the edge has gone."""
        data = self.socket.recv(_READ)
        now = time.monotonic_ns()
        if not data:
            raise CannotRun("the edge closed a connection of the probe")
        self._rest += data
        end = self._rest.find(_HEAD_END)
        if end < 0:
            return None
        head = self._rest[: end + 2]
        if len(self._rest) < end + len(_HEAD_END) + int(_after(head, _LENGTH) or 0):
            return None
        self._rest = b""
        return Sample(self.number, self._asked, now, int(head[9:12]), _after(head, self._mark).decode())


def request(path: str, token: str) -> bytes:
    """What is asked with a token, or with none."""
    proof = f"authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{proof}\r\n".encode()


def _after(head: bytes, name: bytes) -> bytes:
    """A header's value."""
    return head.partition(name)[2].partition(b"\r")[0]
