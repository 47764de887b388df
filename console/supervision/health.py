"""When a process that lives but no longer answers is ended: values in, values out, and the watch that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from console.supervision.child import Child


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of one life: whether it ever answered, and how often in a row it did not since."""

    answered: bool = False
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Patience:
    """How many answers in a row may be missed. Before its first one a process is starting, as long as it needs."""

    misses: int = 5

    def after(self, pulse: Pulse, healthy: bool) -> tuple[Pulse, bool]:
        """The process was asked: its pulse now, and whether it is stuck."""
        if healthy:
            return Pulse(answered=True), False
        if not pulse.answered:
            return pulse, False
        missed = pulse.missed + 1
        return Pulse(True, missed), missed >= self.misses


async def watch(
    child: Child,
    healthy: Callable[[], Awaitable[bool]],
    patience: Patience = Patience(),
    interval: float = 1.0,
) -> None:
    """Ask every `interval` seconds; kill what is stuck, so that it is started again. Until cancelled.

    `healthy` answers within about the interval.
    """
    loop, life, pulse = asyncio.get_running_loop(), 0, Pulse()
    while True:
        asked = loop.time()
        before, answer = child.starts, await healthy()
        if before != life:
            life, pulse = before, Pulse()
        if child.starts == life:  # else the answer is between two lives
            pulse, stuck = patience.after(pulse, answer)
            if stuck:
                child.kill(f"has not answered {patience.misses} times in a row: killed")
                pulse = Pulse()
        await asyncio.sleep(max(0.0, asked + interval - loop.time()))
