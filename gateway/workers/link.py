"""The gateway's end of one judge's stream of operations."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

import structlog
from prometheus_client import Counter

from gateway.workers.operation import Live, Operation, framed
from gateway.workers.words import Word, Words

_PATIENCE: Final = 0.25  # seconds for which the gateway itself waits until a judge takes what it is told
_MOST_WAITING: Final = 64 << 20  # bytes told to a judge that still takes in the state; beyond it, it begins anew
_PIECE: Final = 1 << 18  # bytes of the state encoded in a turn of the loop
_SILENCE: Final = 5.0  # seconds; a judge has a pulse of one
_DROPPED = Counter("portcullis_gateway_judges_dropped_total", "Judges that the gateway ended", ["why"])
_log = structlog.get_logger()


class Link:
    """Until `join` is through, what is told waits here; then it is written before `take` returns."""

    def __init__(self, sock: socket.socket, end: Callable[[], None], patience: float = _PATIENCE) -> None:
        """`sock` does not block, and stays its owner's; `end` ends the judge; `patience` is in seconds."""
        self.number = 0
        self.pid = 0
        self.is_parent = False
        self.is_live = False
        self.prepared: set[str] = set()
        self.joined = asyncio.Event()
        self._sock = sock
        self._end = end
        self._patience = patience
        self._waiting: deque[bytes] = deque()
        self._waits = 0  # bytes
        self._dropped = False

    def take(self, frame: bytes) -> bool:
        """Into the socket itself, or behind what still has to be sent before it."""
        if self._dropped:
            return False
        if self.is_live:
            return self._write(frame)
        self._waiting.append(frame)
        self._waits += len(frame)
        if self._waits > _MOST_WAITING:
            self.drop("slow")
        return not self._dropped

    def drop(self, why: str) -> None:
        """End the judge: it must not answer by what it knows. It begins anew."""
        if self._dropped:
            return
        self._dropped, self.is_live = True, False
        _DROPPED.labels(why).inc()
        _log.warning("judge dropped", judge=self.number, pid=self.pid, why=why)
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        if not self.is_parent:
            self._end()

    async def join(self, state: Iterable[Operation], number: int, newest: Callable[[], int]) -> None:
        """Send the state as it was at an operation's number, then what was told meanwhile; from then on it is live.
        Raises OSError, BadOperation.
        """
        loop = asyncio.get_running_loop()
        for piece in _pieces(state, number):
            await loop.sock_sendall(self._sock, piece)
        await self.joined.wait()
        while self._waiting:
            frame = self._waiting.popleft()
            self._waits -= len(frame)
            await loop.sock_sendall(self._sock, frame)
        self.is_live = self._write(framed(newest(), Live()))

    async def words(self) -> AsyncIterator[Word]:
        """What it says, until it is gone. Raises OSError, BadWord; TimeoutError where a judge's pulse stays away."""
        loop, words = asyncio.get_running_loop(), Words()
        while True:
            async with asyncio.timeout(None if self.is_parent else _SILENCE):  # a parent compiles without a word
                data = await loop.sock_recv(self._sock, 4096)
            if not data:
                return
            for word in words.feed(data):
                yield word

    def _write(self, frame: bytes) -> bool:
        left, ends = memoryview(frame), time.monotonic() + self._patience
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                if not self._writable(ends - time.monotonic()):
                    self.drop("stuck")
                    return False
            except OSError:
                self.drop("gone")
                return False
        return True

    def _writable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT)
        return seconds > 0 and bool(poll.poll(seconds * 1000))


def _pieces(state: Iterable[Operation], number: int) -> Iterator[bytes]:
    piece = bytearray()
    for operation in state:
        piece += framed(number, operation)
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
