"""A crowd of agents in a few processes, all connected to one gateway."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import cpu_seconds
from bench.pushing.admin import Admin
from bench.pushing.agents import name
from bench.pushing.authority import Authority
from bench.result import CannotRun
from bench.system import process

_A_SECOND = 50.0  # agents that a gateway greets at the least
_LOOK = 1.0  # seconds
_SETTLED = 5.0  # seconds in which what came with connecting is over


@dataclass(frozen=True)
class Crowd:
    """Whoever is connected."""

    names: frozenset[str]
    pids: Sequence[int]
    connected_seconds: float  # from the first one's start until all were

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all agents so far."""
        return sum(map(cpu_seconds, self.pids))


@asynccontextmanager
async def crowd(
    admin: Admin, port: int, authority: Authority, folder: Path, agents: int, processes: int
) -> AsyncIterator[Crowd]:
    """So many agents, once all of them are in step. Their certificates must be there. Raises CannotRun."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    each = -(-agents // processes)
    start = time.monotonic()
    async with AsyncExitStack() as stack:
        pids = []
        for first in range(0, agents, each):
            count = min(each, agents - first)
            whose = (f"wss://127.0.0.1:{port}", str(authority.folder), str(folder), str(first), str(count))
            child = await stack.enter_async_context(process(sys.executable, "-m", "bench.pushing.agents", *whose))
            pids.append(child.pid)
        names = frozenset(map(name, range(agents)))
        await _until_up(admin, names, start)
        taken = time.monotonic() - start
        await asyncio.sleep(_SETTLED)
        yield Crowd(names, pids, taken)


async def _until_up(admin: Admin, names: frozenset[str], start: float) -> None:
    end = start + 30 + len(names) / _A_SECOND
    while missing := names - {line["name"] for line in await admin.ask("/v1/lines") if line["state"] == "up"}:
        if time.monotonic() > end:
            raise CannotRun(f"{len(missing)} of {len(names)} agents do not connect, {min(missing)} among them")
        await asyncio.sleep(_LOOK)
