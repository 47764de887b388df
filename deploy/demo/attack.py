"""The taken-over agent: enumerates other customers' accounts with varying gaps, until the bank has stopped it.

Beside it the honest batch agent, at the same pace, on what is its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.demo.admin import Admin, receipts, until
from deploy.demo.caller import Answer, Caller

PACE = 50.0  # requests a second
LONGEST_SECONDS = 5.0  # an attack that is not stopped by then has succeeded


@dataclass
class Traffic:
    """Requests of one caller: when the first was sent (Unix seconds), and every answer."""

    first: float = 0.0
    answers: list[Answer] = field(default_factory=list)

    @property
    def stopped(self) -> bool:
        """Whether the caller was refused as blocked, or no longer answered."""
        return any("blocked" in answer.reasons or answer.error for answer in self.answers)


async def send(caller: Caller, accounts: Sequence[str], ending: asyncio.Event, traffic: Traffic, seed: int) -> None:
    """Read one account after the other, 50 a second with gaps of 5 to 35 ms, until `ending`; no answer is awaited."""
    chance = random.Random(seed)
    order = chance.sample(accounts, len(accounts))

    async def ask(account: str) -> None:
        traffic.answers.append(await caller.get(f"/accounts/{account}", seconds=1.0))

    async with asyncio.TaskGroup() as group:
        traffic.first = time.time()
        turn = 0
        while not ending.is_set():
            group.create_task(ask(order[turn % len(order)]))
            turn += 1
            await asyncio.sleep(chance.uniform(0.25, 1.75) / PACE)


async def enumerate_accounts(caller: Caller, accounts: Sequence[str], seed: int) -> Traffic:
    """Attack until stopped, or for the longest time."""
    traffic, ending = Traffic(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(send(caller, accounts, ending, traffic, seed))
        end = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < end and not traffic.stopped:  # noqa: ASYNC110 - it looks at answers as they come
            await asyncio.sleep(0.01)
        ending.set()
    return traffic


@dataclass(frozen=True, slots=True)
class Stopped:
    """How an attack ended: each line's first receipt over all of the attack's blocks, and the blocks' stories."""

    stories: tuple[dict[str, Any], ...]
    lines: dict[str, dict[str, float]]  # line: {"time": Unix seconds of its last receipt, "ms": what it took the line}

    @property
    def last_receipt(self) -> float:
        """Unix seconds."""
        return max(line["time"] for line in self.lines.values())


async def blocks_enforced(admin: Admin, values: Sequence[str], lines: Sequence[str], seconds: float) -> Stopped:
    """Wait until blocks of `values` are enforced on every one of `lines`. Raises Untrue."""

    async def enforced() -> Stopped | None:
        stories = [await admin.story(block["id"]) for block in await admin.blocks_of(values)]
        found: dict[str, dict[str, float]] = {}
        for story in stories:
            for line, receipt in receipts(story).items():
                earlier = found.get(line, {"time": 0.0, "ms": 0.0})
                found[line] = {name: max(earlier[name], float(receipt[name])) for name in ("time", "ms")}
        return Stopped(tuple(stories), found) if found.keys() >= set(lines) else None

    stopped = await until(f"blocks of {', '.join(values)} on {', '.join(lines)}", enforced, seconds)
    assert isinstance(stopped, Stopped)
    return stopped
