"""The load: blocks asked for and lifted all the time, among them what may never be blocked."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

import aiohttp

from tests.chaos.account import Account, Asked, Outcome
from tests.chaos.site import Site

ASKERS = 6
RATE = 40.0  # blocks asked for in a second, by all of them
LIFTED = 0.25  # share of blocks that are lifted before their end
_NEVER = 0.06  # share of what is asked that never may stand
_AGAIN = 0.10  # share that is about one of few networks: blocks on the same prefix, one in the other
_LONG = 0.04  # share that outlives the run
_FORBIDDEN = (
    ("address", "10.77.1.1"),
    ("address", "192.0.2.99"),
    ("address", "::ffff:192.0.2.1"),
    ("address", "2001:db8:feed::7"),
    ("range", "192.0.2.0/25"),
    ("range", "192.0.0.0/16"),
    ("range", "10.77.0.0/16"),
    ("range", "2001:db8::/32"),
    ("range", "0.0.0.0/1"),
)


@dataclass
class Load:
    """Asks until cancelled."""

    site: Site
    account: Account
    chance: random.Random
    acknowledged: int = 0  # blocks
    last_acknowledged: float = 0.0  # Unix seconds when the last of these was asked for

    async def run(self) -> None:
        """Ask; and have lifted what is due."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(ASKERS):
                tasks.create_task(self._ask(tasks))

    async def _ask(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(self.chance.expovariate(RATE / ASKERS))
            kind, value = self._target()
            asked = self.account.ask(kind, value, self._ttl(), time.time())
            await self._block(asked)
            if asked.outcome == "accepted" and self.chance.random() < LIFTED:
                tasks.create_task(self._lift(asked, self.chance.uniform(0, asked.ttl)))

    async def _block(self, asked: Asked) -> None:
        order = {"kind": asked.kind, "value": asked.value, "ttl": asked.ttl, "reason": "chaos", "by": "load"}
        outcome: Outcome = "unknown"
        block_id = ""
        try:
            told = await self.site.ask("POST", "/v1/blocks", order)
        except (aiohttp.ClientError, OSError, TimeoutError):
            told = {}
        if isinstance(told, dict) and told.get("outcome") in ("accepted", "refused"):
            outcome, block_id = told["outcome"], told.get("block", "")
        if outcome == "accepted":
            self.acknowledged, self.last_acknowledged = self.acknowledged + 1, asked.sent
        self.account.answered(asked, outcome, block_id, time.time())

    async def _lift(self, asked: Asked, after: float) -> None:
        await asyncio.sleep(after)
        asked.lift_asked = True
        try:
            told = await self.site.ask("DELETE", f"/v1/blocks/{asked.id}", {"reason": "chaos", "by": "load"})
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        asked.lifted = isinstance(told, dict) and told.get("outcome") == "lifted"

    def _ttl(self) -> float:
        return 900.0 if self.chance.random() < _LONG else self.chance.uniform(2.0, 60.0)

    def _target(self) -> tuple[str, str]:
        draw = self.chance.random()
        if draw < _NEVER:
            return self.chance.choice(_FORBIDDEN)
        if draw < _NEVER + _AGAIN:
            return self._network(self.chance.randrange(4), few=True)
        return self._network(self.chance.randrange(4), few=False)

    def _network(self, what: int, few: bool) -> tuple[str, str]:
        a, b, c = (self.chance.randrange(4 if few else 256) for _ in range(3))
        if what == 0:
            return "range", f"198.18.{b}.0/24"
        if what == 1:
            return "range", f"2001:db8:{a:x}:{b:x}::/64"
        if what == 2:
            return "address", f"2001:db8:{a:x}:{b:x}::{c:x}"
        return "address", f"198.{18 + a % 2}.{b}.{c}"
