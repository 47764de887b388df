"""The transmitter: takes what is told, keeps it, and brings it to every receiver that wants it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

import aiohttp
from prometheus_client import Counter, Gauge

from gateway.config import SignalsTransmitter
from gateway.signals.transmitter.outgoing import first_push, looked, settled
from gateway.signals.transmitter.poll import Poll
from gateway.signals.transmitter.push import Parcel, Patience, Pushing
from gateway.signals.transmitter.rules import Rules
from gateway.signals.transmitter.store import News, Store, Waiting
from gateway.signals.transmitter.stream import Refused
from gateway.signals.transmitter.token import signed
from gateway.signals.transmitter.told import Told
from gateway.signals.transmitter.writer import Job, Writer
from gateway.transactions import SigningKey

LONG_POLL: Final = 10.0  # seconds that a poll may wait, less than a proxy in front would
_PATIENCE = Patience()
_MOST_WAITING_POLLS = 2  # in one stream; a further one is answered at once
_ENDED = Counter("portcullis_gateway_signals_ended_total", "What became of events in streams", ["end"])
_POLLS = Gauge("portcullis_gateway_signals_polls_waiting", "Polls that wait for an event")
_PAUSED = Counter("portcullis_gateway_signals_paused_total", "Streams paused because too many events waited")
_TOLD = Counter("portcullis_gateway_signals_told_total", "Events that were published")
T = TypeVar("T")


class Transmitter:
    """Shared Signals out of this gateway (SSF 1.0). `signer` is asked for the key that signs now."""

    def __init__(
        self,
        store: Store,
        settings: SignalsTransmitter,
        signer: Callable[[], SigningKey],
        session: aiohttp.ClientSession,
        *,
        clock: Callable[[], float] = time.time,
        patience: Patience = _PATIENCE,
        long_poll: float = LONG_POLL,
    ) -> None:
        self.settings = settings
        self.rules = Rules(settings)
        self.clock = clock
        self._signer = signer
        self._long_poll = long_poll
        self._polls: dict[str, set[asyncio.Event]] = {}
        self._pushing = Pushing(self, session, patience)
        self._writer = Writer(store, self._committed)

    @classmethod
    async def open(
        cls,
        file: Path,
        settings: SignalsTransmitter,
        signer: Callable[[], SigningKey],
        session: aiohttp.ClientSession,
    ) -> Self:
        """What was kept is there again. Raises TransmitterUnreadable, TransmitterUnwritable, OSError."""
        return cls(await asyncio.to_thread(Store, file), settings, signer, session)

    def publish(self, told: Told) -> Awaitable[int]:
        """Tell every receiver that wants to hear it. Returns at once; what is returned ends when the event is durable,
        with the number of streams in which it waits, or raises TransmitterUnwritable. Nobody needs to wait for it.
        """
        _TOLD.inc()
        now = self.clock()
        return self._writer.order(lambda store: self.rules.tell(store, told, now))

    async def do(self, job: Job[T]) -> T:
        """One rule, carried out durably. Raises TransmitterUnwritable."""
        return await self._writer.do(job)

    async def run(self) -> None:
        """Push what waits, until cancelled."""
        for stream in await self.do(lambda store: store.streams()):
            self._pushing.wake(stream.id)
        await self._pushing.run()

    async def close(self) -> None:
        """Write what was told, and give the file back."""
        await self._writer.close()

    async def poll(self, receiver: str, name: str, asked: Poll) -> tuple[dict[str, str], bool] | Refused:
        """The tokens that wait, by jti, and whether there are more. What was acknowledged or refused never comes again.

        Waits for the first one, a while, unless asked not to. Raises TransmitterUnwritable.
        """
        with self._waiting(name) as (woken, patient):
            found = await self.do(partial(settled, self.rules, receiver, name, asked))
            if found == [] and asked.most and patient and not asked.at_once:
                found = await self._first(receiver, name, asked.most, woken)
        if isinstance(found, Refused):
            return found
        return await asyncio.to_thread(self._sign, found[: asked.most]), len(found) > asked.most

    async def next_parcel(self, stream: str) -> Parcel | None:
        """The first token that may be pushed in a stream."""
        found = await self.do(partial(first_push, self.rules, stream))
        if found is None:
            return None
        entry, push = found
        return Parcel(stream, entry.jti, push, signed(entry.claims, self._signer()))

    async def settle(self, parcel: Parcel, end: str) -> None:
        """A push has ended."""
        await self.do(lambda store: store.settle(parcel.stream, [parcel.jti], end))

    async def _first(self, receiver: str, name: str, most: int, woken: asyncio.Event) -> list[Waiting] | Refused:
        with suppress(TimeoutError), _POLLS.track_inprogress():
            async with asyncio.timeout(self._long_poll):
                while True:
                    await woken.wait()
                    woken.clear()
                    if (found := await self.do(partial(looked, self.rules, receiver, name, most))) != []:
                        return found
        return []

    @contextmanager
    def _waiting(self, name: str) -> Iterator[tuple[asyncio.Event, bool]]:
        """What is set when something happens in a stream, from before the first look; and whether to wait for it."""
        woken, polls = asyncio.Event(), self._polls.setdefault(name, set())
        polls.add(woken)
        try:
            yield woken, len(polls) <= _MOST_WAITING_POLLS
        finally:
            polls.discard(woken)
            if not polls:
                self._polls.pop(name, None)

    def _sign(self, found: list[Waiting]) -> dict[str, str]:
        key = self._signer()
        return {entry.jti: signed(entry.claims, key) for entry in found}

    def _committed(self, news: News) -> None:
        for end, number in news.ended.items():
            _ENDED.labels(end).inc(number)
        _PAUSED.inc(news.paused)
        for stream in news.woken:
            self._pushing.wake(stream)
            for woken in self._polls.get(stream, ()):
                woken.set()
