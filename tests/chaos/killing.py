"""The killer: SIGKILL to a part at a random instant, again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.load import Load
from tests.chaos.site import Part, Site

ANY = 0.25  # share of kills that wait for nothing: a part may be killed while it starts
_SHARES = {"gateway": 3.0, "agent": 5.0}
_PATIENCE = 20.0  # seconds until a part must have worked again


@dataclass
class Killer:
    """Kills, so many a second."""

    site: Site
    load: Load
    chance: random.Random
    rate: float  # kills a second
    told: Callable[[int], None]
    kills: int = 0
    idle: int = 0  # kills of parts that had not worked since their last start

    async def run(self, count: int) -> None:
        """So many kills. Raises TimeoutError where a part does not come back."""
        while self.kills < count:
            await asyncio.sleep(self.chance.expovariate(self.rate))
            for part in self.site.parts.values():
                await part.stand()
            part = self._victim()
            if self.chance.random() >= ANY:
                await self._worked(part)
                await asyncio.sleep(self.chance.uniform(0, 0.3))
            else:
                self.idle += 1
            await part.restart()
            self.kills += 1
            self.told(self.kills)

    def _victim(self) -> Part:
        kinds = list(_SHARES)
        (kind,) = self.chance.choices(kinds, [_SHARES[kind] for kind in kinds])
        return self.chance.choice([part for part in self.site.parts.values() if part.kind == kind])

    async def _worked(self, part: Part) -> None:
        if part.kind == "gateway":
            before = self.load.acknowledged
            await self.site.until(lambda: _now(self.load.acknowledged > before), "the gateway works", _PATIENCE)
            return

        async def connected() -> bool:
            line = (await self.site.statuses()).get(part.name, {})
            return line.get("state") == "up" and (line.get("last_contact") or 0.0) > part.since

        await self.site.until(connected, f"{part.name} works", _PATIENCE)


async def _now(holds: bool) -> bool:
    return holds
