"""A judge's side of replication: bytes in, operations out, and whether all that counts has been applied. Does no I/O:
what reads the socket is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.workers.operation import HEAD, LARGEST, BadOperation, Operation, read

Receive = Callable[[], bytes | None]  # what is there; None if nothing is. Raises EOFError, OSError


class Number(Protocol):
    """Where the gateway shows which operation is the newest."""

    @property
    def number(self) -> int:
        """The newest."""
        ...


class LeftBehind(Exception):
    """What counts cannot be had: whoever is told this may answer nothing more."""


class Following:
    """Applies operations in their order. `apply` gets each; it may `pause` us where the next must wait for a while."""

    def __init__(self, newest: Number, receive: Receive, apply: Callable[[Operation], None]) -> None:
        self._newest = newest
        self._receive = receive
        self._apply = apply
        self._buffer = bytearray()
        self._paused = False
        self.applied = 0

    def catch_up(self) -> None:
        """Apply all that counts now. The gateway wrote it to us before it let it count, so it is there; if not, we are
        left behind. Raises LeftBehind.
        """
        while self.applied < self._newest.number:
            if not self.read():
                raise LeftBehind(f"operation {self._newest.number} counts, {self.applied} is the last that came")

    def read(self) -> bool:
        """Apply what has come; false if nothing has. Raises LeftBehind."""
        try:
            data = self._receive()
            if data is None:
                return False
            self._buffer += data
            self._work()
        except (EOFError, OSError, BadOperation) as error:
            raise LeftBehind(str(error) or "the gateway is gone") from error
        return True

    def pause(self) -> None:
        """Apply nothing more until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Go on. Raises LeftBehind."""
        self._paused = False
        try:
            self._work()
        except BadOperation as error:
            raise LeftBehind(str(error)) from error

    def _work(self) -> None:
        begins = 0
        while not self._paused and len(self._buffer) >= begins + HEAD.size:
            length, number = HEAD.unpack_from(self._buffer, begins)
            if length > LARGEST:
                raise BadOperation(f"an operation of {length} bytes")
            ends = begins + HEAD.size + length
            if len(self._buffer) < ends:
                break
            operation = read(bytes(self._buffer[begins + HEAD.size : ends]))
            begins = ends
            self._apply(operation)
            self.applied = number
        del self._buffer[:begins]
