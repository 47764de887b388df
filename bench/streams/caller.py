"""A caller: one principal's connection to the edge, with its live streams and the moments at which they ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Self

from bench.result import CannotRun
from bench.streams import frames
from bench.streams.frames import PREFACE, Flag, Frame, Kind, Reader

PATH = "/bank.Ledger/Watch"
DEADLINE = 60.0  # seconds for what must happen


class Caller(asyncio.Protocol):
    """One HTTP/2 connection. A stream is live from its first message until it ends, whoever ends it."""

    def __init__(self, principal: str, token: str) -> None:
        self.principal = principal
        self.live: set[int] = set()
        self.ends: list[float] = []  # CLOCK_MONOTONIC seconds
        self.refused = 0  # streams that ended before their first message
        self._request = _request(token)
        self._opening: set[int] = set()
        self._next = 1
        self._ponged = 0.0
        self._moved = asyncio.Event()
        self._reader = Reader()
        self._transport: asyncio.Transport

    @classmethod
    async def connect(cls, port: int, principal: str, token: str) -> Self:
        """Connected, with no stream yet. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(lambda: cls(principal, token), "127.0.0.1", port)
        return caller

    async def open(self, count: int) -> None:
        """Open that many more streams at once. Raises CannotRun unless each is let in and has its first message."""
        streams, before = range(self._next, self._next + 2 * count, 2), self.refused
        self._next = streams.stop
        self._opening.update(streams)
        self._transport.write(b"".join(map(self._call, streams)))
        await self._until(lambda: not self._opening)
        if self.refused > before:
            raise CannotRun(f"{self.refused - before} of {count} streams of {self.principal} were refused")

    async def ended(self) -> None:
        """Wait until no stream of this caller lives."""
        await self._until(lambda: not self.live)

    async def ping(self) -> float:
        """Seconds that a PING and its answer take: what client and loops cost, with nothing between the two ends."""
        self._ponged, start = 0.0, time.monotonic()
        self._transport.write(frames.frame(Kind.PING, 0, 0, bytes(8)))
        await self._until(lambda: self._ponged > 0)
        return self._ponged - start

    def close(self) -> None:
        """Leave, with all streams."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Say what we allow."""
        self._transport = transport
        transport.write(PREFACE + frames.opening())

    def data_received(self, data: bytes) -> None:
        """Note what began and what ended, at the moment at which it was read."""
        now = time.monotonic()
        for received in self._reader.feed(data):
            self._received(received, now)
        self._moved.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Whatever lived ends with the connection."""
        now = time.monotonic()
        for stream in [*self.live, *self._opening]:
            self._end(stream, now)
        self._moved.set()

    def _received(self, received: Frame, now: float) -> None:
        if received.kind == Kind.DATA and received.payload:
            self._begin(received.stream)
        elif received.kind == Kind.PING and received.flags & Flag.ACK:
            self._ponged = now
        elif received.kind in (Kind.SETTINGS, Kind.PING):
            self._transport.write(frames.acknowledged(received))
        last = received.kind in (Kind.DATA, Kind.HEADERS) and received.flags & Flag.END_STREAM
        if last or received.kind == Kind.RST_STREAM:
            self._end(received.stream, now)

    def _begin(self, stream: int) -> None:
        if stream in self._opening:
            self._opening.discard(stream)
            self.live.add(stream)

    def _end(self, stream: int, now: float) -> None:
        if stream in self._opening:
            self._opening.discard(stream)
            self.refused += 1
        elif stream in self.live:
            self.live.discard(stream)
            self.ends.append(now)

    def _call(self, stream: int) -> bytes:
        return frames.headers(stream, self._request) + frames.message(stream, b"", last=True)

    async def _until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition():
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError as error:
            raise CannotRun(f"{self.principal}: {len(self._opening)} streams wait, {len(self.live)} live") from error


def _request(token: str) -> bytes:
    return frames.block(
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", "bank.example"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *((("authorization", f"Bearer {token}"),) if token else ()),
    )
