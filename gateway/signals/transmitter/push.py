"""Push-based delivery (RFC 8935): one token at a time in each stream, in order, again until the receiver has it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import msgspec
import structlog
import yarl
from prometheus_client import Counter

from gateway.bounded import TooLarge, read_bounded
from gateway.json_body import read_json
from gateway.signals.transmitter.errors import err_of, refused
from gateway.signals.transmitter.store import TransmitterUnwritable
from gateway.signals.transmitter.stream import Push
from gateway.signals.transmitter.token import TYP

_LARGEST: Final = 4096  # bytes of an error that are read
_PUSHED = Counter("portcullis_gateway_signals_pushes_total", "Attempts to push an event", ["result"])
_log = structlog.get_logger()


class Parcel(msgspec.Struct, frozen=True):
    """One token on its way."""

    stream: str
    jti: str
    push: Push  # its URL as `target` made it
    token: str


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds."""

    answer: float = 10.0  # for a receiver to answer
    first: float = 0.5  # before the next attempt; twice as long after each
    longest: float = 60.0


class Desk(Protocol):
    """Where parcels come from, and where it is reported what became of them. Raises TransmitterUnwritable."""

    async def next_parcel(self, stream: str) -> Parcel | None:
        """The first that may go out in a stream; None if there is none, or the stream is not one that pushes."""
        ...

    async def settle(self, parcel: Parcel, end: str) -> None:
        """The receiver has it, or does not take it."""
        ...


class Pushing:
    """Pushes what waits. A stream that was woken is drained by a task of its own, which then ends."""

    def __init__(
        self,
        desk: Desk,
        session: aiohttp.ClientSession,
        patience: Patience,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._desk = desk
        self._session = session
        self._patience = patience
        self._sleep = sleep
        self._woken: set[str] = set()
        self._draining: set[str] = set()
        self._rung = asyncio.Event()

    def wake(self, stream: str) -> None:
        """There may be something to push in a stream."""
        self._woken.add(stream)
        self._rung.set()

    async def run(self) -> None:
        """Push until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._rung.wait()
                self._rung.clear()
                for stream in self._woken - self._draining:
                    self._draining.add(stream)
                    tasks.create_task(self._drain(stream))

    async def _drain(self, stream: str) -> None:
        try:
            self._woken.discard(stream)  # before the look: who wakes it from now on wants another
            failures = 0
            while (end := await self._first(stream)) is not None:
                if not end:
                    await self._sleep(self._delay(failures))
                failures = 0 if end else failures + 1
        finally:
            self._draining.discard(stream)
            if stream in self._woken:
                self._rung.set()

    async def _first(self, stream: str) -> str | None:
        """How an attempt with the first parcel ended, as `_push` tells it; None if there is none."""
        try:
            parcel = await self._desk.next_parcel(stream)
            end = await self._push(parcel) if parcel else None
            if parcel and end:
                await self._desk.settle(parcel, end)
        except TransmitterUnwritable:  # a receiver may hear twice what we could not put on record
            return ""
        return end

    def _delay(self, failures: int) -> float:
        """Half of it by chance, so that streams which failed together do not try together."""
        longest = min(self._patience.first * 2.0 ** min(failures, 30), self._patience.longest)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - nobody gains by guessing it

    async def _push(self, parcel: Parcel) -> str:
        """How it ended: "delivered", "refused_" and why, or "" where it must be tried again."""
        try:
            end = await self._posted(parcel)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.warning("signal not pushed", stream=parcel.stream, error=type(error).__name__)
            end = ""
        _PUSHED.labels(end.partition("_")[0] or "failed").inc()
        return end

    async def _posted(self, parcel: Parcel) -> str:
        headers = {"Content-Type": f"application/{TYP}", "Accept": "application/json", "Accept-Encoding": "identity"}
        if parcel.push.authorization:
            headers["Authorization"] = parcel.push.authorization
        async with self._session.post(
            yarl.URL(parcel.push.url, encoded=True),
            data=parcel.token.encode(),
            headers=headers,
            allow_redirects=False,  # elsewhere is where nobody has allowed us to go
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=self._patience.answer),
        ) as response:
            if response.status == 202:
                return "delivered"
            end = await self._refused(parcel, response) if response.status == 400 else ""
            if not end:
                _log.warning("signal not pushed", stream=parcel.stream, status=response.status)
            return end

    async def _refused(self, parcel: Parcel, response: aiohttp.ClientResponse) -> str:
        """What the receiver says is wrong (section 2.3). A 400 without its words may be anybody's on the way."""
        try:
            said = read_json(await read_bounded(response.content.iter_any(), _LARGEST))
        except (TooLarge, ValueError):
            return ""
        err = err_of(said)
        return "" if err is None else refused(parcel.stream, parcel.jti, err, said.get("description"))
