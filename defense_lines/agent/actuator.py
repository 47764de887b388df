"""The firewall as an event loop drives it: the kernel's work on threads, tracked connections forgotten afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from prometheus_client import Counter, Histogram

from defense_lines.agent import conntrack
from defense_lines.agent.actuation import since_boot
from defense_lines.agent.capabilities import Capability, require
from defense_lines.agent.firewall import Firewall, Result
from defense_lines.agent.orders import Network, Order

FORGET_QUEUE = 1_000  # batches whose connections are still to be forgotten; beyond it they are left to time out

T = TypeVar("T")

_log = structlog.get_logger()
_orders = Counter("portcullis_defense_lines_agent_orders_total", "Orders carried out", ["order", "outcome"])
_kernel = Histogram("portcullis_defense_lines_agent_kernel_seconds", "One transaction with the kernel, thread included")
_forgotten = Counter("portcullis_defense_lines_agent_conntrack_forgotten_total", "Tracked connections deleted")
_unforgotten = Counter("portcullis_defense_lines_agent_conntrack_failures_total", "Batches whose connections stayed")


class Actuator:
    """One firewall. Orders go one after another; a listing, which may be long, keeps none waiting."""

    def __init__(self, firewall: Firewall, clock: Callable[[], float] = since_boot) -> None:
        self.clock = clock
        self._firewall = firewall
        self._writer = ThreadPoolExecutor(1, "kernel")
        self._reader = ThreadPoolExecutor(1, "listing")
        self._forget: asyncio.Queue[Sequence[Network]] = asyncio.Queue(FORGET_QUEUE)

    async def apply(self, orders: Sequence[Order]) -> list[Result]:
        """As `Firewall.apply`, now; then forget the tracked connections of what is blocked."""
        with _kernel.time():
            results = await self._in(self._writer, self._firewall.apply, orders, self.clock())
        _count("apply", results)
        enforced = {result.order for result in results if result.outcome == "enforced"}
        self._forget_later([order.network for order in orders if order.id in enforced])
        return results

    async def revoke(self, identities: Sequence[str]) -> list[Result]:
        """As `Firewall.revoke`, now."""
        with _kernel.time():
            results = await self._in(self._writer, self._firewall.revoke, identities, self.clock())
        _count("revoke", results)
        return results

    async def active(self) -> list[Order]:
        """What the kernel enforces at this moment. Raises NftError."""
        return await self._in(self._reader, self._firewall.active, self.clock())

    async def read(self) -> list[Order]:
        """The order book, once read back from the kernel. Raises NftError."""
        await self.ensure()
        return await self._in(self._writer, self._firewall.orders)

    async def ensure(self) -> None:
        """Make the table stand. Raises NftError."""
        await self._in(self._writer, self._firewall.ensure, self.clock())

    async def forget_connections(self) -> None:
        """Delete the tracked connections of what was blocked, until cancelled."""
        warned = False
        while True:
            networks = list(await self._forget.get())
            while not self._forget.empty():  # one walk of the connection table for all that waits
                networks += self._forget.get_nowait()
            try:
                _forgotten.inc(await asyncio.to_thread(conntrack.forget, networks))
            except OSError as error:
                _unforgotten.inc()
                if not warned:
                    _log.warning("tracked connections of blocked sources stay", error=str(error))
                warned = True

    def close(self) -> None:
        """End the threads and free what the firewall holds; the kernel goes on enforcing."""
        self._writer.shutdown()
        self._reader.shutdown()
        self._firewall.close()

    def _forget_later(self, networks: Sequence[Network]) -> None:
        if not networks:
            return
        try:
            self._forget.put_nowait(networks)
        except asyncio.QueueFull:
            _unforgotten.inc()

    @staticmethod
    async def _in(pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


@asynccontextmanager
async def actuate(firewall: Firewall, clock: Callable[[], float] = since_boot) -> AsyncIterator[Actuator]:
    """Make the firewall's table stand and drive it. Raises CapabilityError or NftError if it cannot stand."""
    require(Capability.NET_ADMIN)
    actuator = Actuator(firewall, clock)
    try:
        await actuator.ensure()
        async with asyncio.TaskGroup() as group:
            forgetting = group.create_task(actuator.forget_connections())
            try:
                yield actuator
            finally:
                forgetting.cancel()
    finally:
        actuator.close()


def _count(order: str, results: Sequence[Result]) -> None:
    for result in results:
        _orders.labels(order, result.outcome).inc()
