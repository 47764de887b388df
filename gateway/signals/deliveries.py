"""What is delivered is delivered once, and nobody is told that it was before it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from gateway.identity.replay import ReplayStore
from gateway.signals.event import SecurityEvent

ROUNDING: Final = 1.0  # seconds by which a token is remembered longer than it counts
Deliver = Callable[[Sequence[SecurityEvent]], Awaitable[None]]
_log = structlog.get_logger()


class Unavailable(Exception):
    """It is not the sender's fault that nothing was done: it should try again later."""


class Deliveries:
    """Gives events to `deliver`, which returns once they are durable. Remembers tokens by a key."""

    def __init__(self, store: ReplayStore, deliver: Deliver) -> None:
        self._store = store
        self._deliver = deliver
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}

    async def once(self, key: bytes, until: float, now: float, events: Sequence[SecurityEvent]) -> bool:
        """True if the events are durable now, False if they were before. `until` and `now` are Unix seconds.

        Raises Unavailable: nothing was delivered, and the token was not seen. Whoever shows a token while it is being
        delivered waits for how that ends.
        """
        under_way = self._under_way.get(key)
        if under_way is not None:
            return self._repeated(await asyncio.shield(under_way))
        first = self._store.first(key, until + ROUNDING, now)
        if first is None:
            raise Unavailable("no more tokens can be remembered")
        if not first:
            return self._repeated(self._store.holds(key))  # else the clock has gone back, and nobody can say
        return await self._first(key, events)

    @staticmethod
    def _repeated(delivered: bool) -> bool:
        if not delivered:
            raise Unavailable("nobody can say whether it was delivered before")
        return False

    async def _first(self, key: bytes, events: Sequence[SecurityEvent]) -> bool:
        ended = self._under_way[key] = asyncio.get_running_loop().create_future()
        durable = False
        try:
            await self._deliver(events)
            durable = True
        except Exception as error:
            _log.error("events could not be delivered", count=len(events), error=repr(error))
            raise Unavailable("events could not be delivered") from error
        finally:
            if not durable:
                self._store.forget(key)
            del self._under_way[key]
            ended.set_result(durable)
        return True
