"""A crowd: many callers with ten streams each, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.result import CannotRun
from bench.streams.caller import Caller

EACH = 10  # live streams of one principal, on one connection
_OPENING = 20  # callers that open their streams at the same time


@dataclass(frozen=True)
class Crowd:
    """Every caller, and how long it took until all streams lived."""

    callers: Sequence[Caller]
    opened_seconds: float

    @property
    def live(self) -> int:
        """Streams that live now."""
        return sum(len(caller.live) for caller in self.callers)

    async def ended(self) -> float:
        """Wait until no stream lives; CLOCK_MONOTONIC seconds of the last end."""
        for caller in self.callers:
            await caller.ended()
        return max(end for caller in self.callers for end in caller.ends)


@asynccontextmanager
async def crowd(port: int, tokens: dict[str, str]) -> AsyncIterator[Crowd]:
    """Ten live streams for each principal of `tokens`; they are left with the block. Raises CannotRun."""
    callers: list[Caller] = []
    try:
        for principal, token in tokens.items():
            callers.append(await Caller.connect(port, principal, token))
        start = time.monotonic()
        await _open(callers)
        yield Crowd(callers, time.monotonic() - start)
    finally:
        for caller in callers:
            caller.close()


async def _open(callers: Sequence[Caller]) -> None:
    waiting = iter(callers)

    async def open_next() -> None:
        for caller in waiting:
            await caller.open(EACH)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_OPENING):
                tasks.create_task(open_next())
    except* CannotRun as failed:
        raise CannotRun(str(failed.exceptions[0])) from failed
