"""Takes operators' orders about agents: the kill switch at once, everything else once it is durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from prometheus_client import Counter

from gateway.agents.agent import Agent
from gateway.agents.order import NARROWING, OUTCOMES, Order, Refused, Unchanged
from gateway.agents.registry import Registry
from gateway.agents.store import AgentsUnwritable, Change, Store

_CHANGES = Counter("portcullis_gateway_agent_changes_total", "Changes of the agent registry", ["change"])
_SHOWN = 100  # changes in one agent's history

Listener = Callable[[Agent], int]
Record = dict[str, Any]


class Registrar:
    """Keeps a registry and its file in step. `listener` hears of each change as soon as it is in force, on the event
    loop, and answers how many live sessions it ended.
    """

    def __init__(
        self, registry: Registry, store: Store, listener: Listener, clock: Callable[[], float] = time.time
    ) -> None:
        self._registry = registry
        self._store = store
        self._listener = listener
        self._clock = clock
        self._owed: list[Change] = []  # in force, and not on record yet
        self._writing = asyncio.Lock()
        self._orders: set[asyncio.Future[Record]] = set()

    @classmethod
    async def open(
        cls, file: Path, registry: Registry, listener: Listener, clock: Callable[[], float] = time.time
    ) -> Self:
        """Fill the registry from the file, made on first use. Raises AgentsUnreadable, AgentsUnwritable, OSError."""
        store = await asyncio.to_thread(Store, file)
        try:
            for agent in await asyncio.to_thread(store.load):
                registry.put(agent)
        except BaseException:
            store.close()
            raise
        return cls(registry, store, listener, clock)

    async def history(self, name: str) -> list[Record]:
        """The newest changes of an agent, the newest first: `change`, `time`, `by`, `reason`.

        Raises AgentsUnreadable.
        """
        async with self._writing:
            return await asyncio.to_thread(self._store.history, name, _SHOWN)

    async def order(self, order: Order, dry_run: bool = False) -> Record:
        """Carry an order out: `outcome` is what was done, "unchanged", "dry_run" or "refused" (with `reason`).

        Raises AgentsUnwritable: a suspension or a revocation is in force all the same, until the gateway ends.
        """
        if dry_run:
            return _told(self._registry.after(order, self._clock()), {"outcome": "dry_run"})
        carried_out = self._stopped(*self._stop(order), order) if order.verb in NARROWING else self._widen(order)
        # An order that is half carried out is carried out, even if who gave it has gone away.
        under_way = asyncio.ensure_future(carried_out)
        self._orders.add(under_way)
        under_way.add_done_callback(self._orders.discard)
        return await asyncio.shield(under_way)

    async def close(self) -> None:
        """Wait for orders under way and give the file back."""
        await asyncio.gather(*self._orders, return_exceptions=True)
        self._store.close()

    def _stop(self, order: Order) -> tuple[Agent | Unchanged | Refused, int]:
        """At once. Returns what came of it and how many live sessions ended."""
        after = self._registry.after(order, self._clock())
        if not isinstance(after, Agent):
            return after, 0
        self._owed.append(Change(order.verb, after))
        return after, self._enforce(order, after)

    async def _stopped(self, after: Agent | Unchanged | Refused, ended: int, order: Order) -> Record:
        try:
            async with self._writing:
                await self._write()  # an order that changes nothing puts on record what the disk did not take before
        except AgentsUnwritable as error:
            raise AgentsUnwritable(f"in force until the gateway ends, but not on record: {error}") from error
        return _told(after, _done(order, ended))

    async def _widen(self, order: Order) -> Record:
        async with self._writing:
            while True:
                known = self._registry.get(order.agent)
                after = self._registry.after(order, self._clock())
                if not isinstance(after, Agent):
                    return _told(after, {})
                await self._write([Change(order.verb, after)])
                if self._registry.get(order.agent) is known:
                    return _told(after, _done(order, self._enforce(order, after)))
                # Stopped while we wrote: what we wrote would undo that, so the order is weighed again.

    async def _write(self, more: Sequence[Change] = ()) -> None:
        owed = len(self._owed)
        if changes := [*self._owed, *more]:
            await asyncio.to_thread(self._store.append, changes)
            del self._owed[:owed]

    def _enforce(self, order: Order, after: Agent) -> int:
        self._registry.put(after)
        _CHANGES.labels(order.verb).inc()
        return self._listener(after)


def _done(order: Order, ended: int) -> Record:
    return {"outcome": OUTCOMES[order.verb], "sessions_ended": ended}


def _told(after: Agent | Unchanged | Refused, outcome: Record) -> Record:
    if isinstance(after, Refused):
        return {"outcome": "refused", "reason": after.reason}
    if isinstance(after, Unchanged):
        return {"outcome": "unchanged"}
    return {**outcome, "agent": after.told()}
