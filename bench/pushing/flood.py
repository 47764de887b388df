"""A flood: a thousand blocks a second for a minute, ordered on the admin socket as a list is: what is due by then in
one request, each judged, answered for and put on record by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.pushing.admin import admin
from bench.pushing.blocks import LIFE
from bench.pushing.site import Site
from bench.result import CannotRun

_CONNECTIONS = 4
_TOGETHER = 50  # orders in one request, at most
_WAITING = 2_000  # orders that are due and not sent; beyond that the gateway does not keep up
_LOOK = 5.0  # seconds between looks at what lines have still to be told: as often as a monitor looks
_LEFT = 120.0  # seconds in which the last of it must be gone


@dataclass
class Flood:
    """What it came to."""

    ordered: int = 0
    seconds: float = 0.0  # from the first order until the last one's answer
    late_ms: list[float] = field(default_factory=list)  # from when an order was due until it was durable
    pending: list[int] = field(default_factory=list)  # of the line that was furthest behind, at each look
    gone_seconds: float = 0.0  # after the last order, until no line had anything left to be told
    story_ms: float = 0.0  # `blocks show` of one of them, afterwards
    gateway_cpu_seconds: float = 0.0


async def flood(site: Site, addresses: Iterator[str], rate: int, seconds: int) -> Flood:
    """So many blocks a second. Raises CannotRun when there is a backlog that does not go away."""
    found, cpu = Flood(), site.cpu_seconds
    due: asyncio.Queue[tuple[float, str]] = asyncio.Queue(_WAITING)
    async with admin(site.socket, _CONNECTIONS) as operators, asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(_look(site, found))
        started = time.monotonic()
        blocks: list[str] = []

        async def order() -> None:
            while True:
                some = [await due.get()]
                while len(some) < _TOGETHER and not due.empty():
                    some.append(due.get_nowait())
                blocks.extend(await operators.block_all([address for _, address in some], LIFE))
                found.late_ms += (1000 * (time.monotonic() - when) for when, _ in some)
                for _ in some:
                    due.task_done()

        ordering = [tasks.create_task(order()) for _ in range(_CONNECTIONS)]
        for number in range(rate * seconds):
            when = started + number / rate
            if (early := when - time.monotonic()) > 0:
                await asyncio.sleep(early)
            await due.put((when, next(addresses)))
        await due.join()
        found.ordered, found.seconds = rate * seconds, time.monotonic() - started
        for task in (*ordering, looking):
            task.cancel()
    found.gone_seconds = await _until_gone(site)
    found.gateway_cpu_seconds = site.cpu_seconds - cpu
    start = time.perf_counter()
    await site.admin.ask(f"/v1/blocks/{blocks[len(blocks) // 2]}")
    found.story_ms = 1000 * (time.perf_counter() - start)
    return found


async def _look(site: Site, found: Flood) -> None:
    while True:
        await asyncio.sleep(_LOOK)
        found.pending.append(await _pending(site))


async def _until_gone(site: Site) -> float:
    start = time.monotonic()
    while pending := await _pending(site):
        if time.monotonic() - start > _LEFT:
            raise CannotRun(f"{pending} blocks are still to be told to a line, {_LEFT:.0f} s after the last")
        await asyncio.sleep(0.05)
    return time.monotonic() - start


async def _pending(site: Site) -> int:
    return max(int(line["pending"]) for line in await site.admin.ask("/v1/lines"))
