"""Killers: SIGKILL to each part at random instants, again and again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.load import Load
from tests.chaos.part import Part
from tests.chaos.site import Site

ANY = 0.25  # share of kills that wait for nothing: a part may be killed while it starts
LIVES = {"gateway": 3.0, "agent": 5.0, "consumer": 5.0, "broker": 5.0}  # mean seconds from work to the next kill
_START = 1.0  # mean seconds to a kill that waits for nothing
_PATIENCE = 60.0  # seconds until a part must have worked again, on a machine that others use too


@dataclass
class Killers:
    """One for each part. `told` hears of each kill."""

    site: Site
    load: Load
    chance: random.Random
    told: Callable[[int], None]
    kills: int = 0
    idle: int = 0  # kills that waited for nothing
    longest: dict[str, float] = field(default_factory=dict)  # seconds until a part of a kind worked again

    async def run(self, count: int) -> None:
        """So many kills, all together. Raises TimeoutError where a part does not come back."""
        async with asyncio.TaskGroup() as tasks:
            for part in self.site.parts.values():
                tasks.create_task(self._kill(part, count))

    async def _kill(self, part: Part, count: int) -> None:
        while self.kills < count:
            if self.chance.random() < ANY:
                self.idle += 1
                await asyncio.sleep(self.chance.expovariate(1 / _START))
            else:
                await self._worked(part)
                await asyncio.sleep(self.chance.expovariate(1 / LIVES[part.kind]))
            if self.kills < count:
                self.kills += 1
                self.told(self.kills)
                await part.restart()

    async def _worked(self, part: Part) -> None:
        await self.site.until(lambda: self._works(part), f"{part.name} works", _PATIENCE)
        took = time.time() - part.since
        self.longest[part.kind] = max(took, self.longest.get(part.kind, 0.0))

    async def _works(self, part: Part) -> bool:
        part.stand()
        if part.kind == "gateway":
            return self.load.last_acknowledged > part.since
        lines = await self.site.statuses()
        names = self.site.consumers if part.kind == "broker" else (part.name,)
        return any(_heard(lines.get(name, {})) > part.since for name in names)


def _heard(line: dict[str, object]) -> float:
    last = line.get("last_contact")
    return last if line.get("state") == "up" and isinstance(last, float) else 0.0
