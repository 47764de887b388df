"""A crowd of lines in a few processes, all of them connected."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bench.machine import cpu_seconds
from bench.pushing.admin import Admin
from bench.result import CannotRun
from bench.system import process

_A_SECOND = 25.0  # lines that a gateway greets at the least
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
        """CPU time of all lines so far."""
        return sum(map(cpu_seconds, self.pids))


@asynccontextmanager
async def crowd(
    admin: Admin, module: str, arguments: Sequence[str], names: Sequence[str], processes: int
) -> AsyncIterator[Crowd]:
    """These lines, once all of them are up. They run in `python -m MODULE ARGUMENTS FIRST COUNT`. Raises CannotRun."""
    each = -(-len(names) // processes)
    start = time.monotonic()
    async with AsyncExitStack() as stack:
        pids = []
        for first in range(0, len(names), each):
            share = (*arguments, str(first), str(min(each, len(names) - first)))
            pids.append((await stack.enter_async_context(process(sys.executable, "-m", module, *share))).pid)
        await _until_up(admin, frozenset(names), start)
        taken = time.monotonic() - start
        await asyncio.sleep(_SETTLED)
        yield Crowd(frozenset(names), pids, taken)


async def _until_up(admin: Admin, names: frozenset[str], start: float) -> None:
    end = start + 30 + len(names) / _A_SECOND
    while missing := names - {line["name"] for line in await admin.ask("/v1/lines") if line["state"] == "up"}:
        if time.monotonic() > end:
            raise CannotRun(f"{len(missing)} of {len(names)} lines do not connect, {min(missing)} among them")
        await asyncio.sleep(_LOOK)
