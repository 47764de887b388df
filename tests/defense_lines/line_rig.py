"""A line in memory that can be away, fail, answer half or lie; and shorthand for blocks and permits."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

from defense_lines import Guard, GuardLimits, LineUnavailable, Outcome, Permit, Receipt
from policy import BlockPolicy, Cause, Target, TargetKind

EVERY_KIND: frozenset[TargetKind] = frozenset({"address", "range", "principal", "actor", "session"})
_numbers = itertools.count(1)


def block(kind: TargetKind = "address", value: str = "", ttl: float = 600, lines: tuple[str, ...] = ()) -> BlockPolicy:
    """A block with an id of its own, from now on."""
    number = next(_numbers)
    now = time.time()
    cause = Cause(reason="enumerates accounts", by="detector:access")
    target = Target.of(kind, value or f"198.51.{number >> 8 & 255}.{number & 255}")
    return BlockPolicy(id=f"b-{number:016x}", target=target, created=now, expires=now + ttl, cause=cause, lines=lines)


def permit(wanted: BlockPolicy) -> Permit:
    """The guard's leave."""
    judged = Guard(GuardLimits(blocks_per_minute=10**6)).judge(wanted, time.time())
    assert isinstance(judged, Permit), judged
    return judged


class MemoryLine:
    """A real line over a dict: what it is told it does, as well as its mood lets it."""

    def __init__(self, name: str = "memory", targets: frozenset[TargetKind] = EVERY_KIND) -> None:
        self.name = name
        self.targets = targets
        self.blocks: dict[str, BlockPolicy] = {}
        self.foreign: set[str] = set()
        self.mood = "well"  # "away", "broken", "half", "lying", "failing", "hanging", "refusing"
        self.most = 10_000  # blocks that it can take before any deadline
        self.poison = ""  # id of a block that breaks the driver
        self.applied: list[str] = []
        self.heads: list[str] = []
        self.calls = asyncio.Event()

    async def apply(self, blocks: Sequence[BlockPolicy], head: str) -> Sequence[Receipt]:
        await self._mood()
        self.heads.append(head)
        if len(blocks) > self.most:
            raise TimeoutError
        if any(block.id == self.poison for block in blocks):
            raise ValueError("this order breaks the driver")
        done = blocks[: len(blocks) // 2] if self.mood == "half" else blocks
        self.applied += [block.id for block in done]
        if self.mood not in ("lying", "failing", "refusing"):
            self.blocks.update({block.id: block for block in done})
        outcome: Outcome = {"failing": "failed", "refusing": "refused"}.get(self.mood, "enforced")  # type: ignore[assignment]
        return [self._receipt(block.id, outcome, head) for block in done]

    async def revoke(self, block_ids: Sequence[str], head: str) -> Sequence[Receipt]:
        await self._mood()
        for block_id in block_ids:
            self.blocks.pop(block_id, None)
        return [self._receipt(block_id, "lifted", head) for block_id in block_ids]

    async def active(self) -> Sequence[str]:
        await self._mood()
        now = time.time()
        return [*(block.id for block in self.blocks.values() if block.expires > now), *self.foreign]

    async def _mood(self) -> None:
        self.calls.set()
        await asyncio.sleep(0)
        if self.mood == "away":
            raise LineUnavailable("no route")
        if self.mood == "broken":
            raise RuntimeError("a bug in the driver")
        if self.mood == "hanging":
            await asyncio.sleep(3600)

    def _receipt(self, block_id: str, outcome: Outcome, head: str) -> Receipt:
        return Receipt(block=block_id, line=self.name, outcome=outcome, time=time.time(), ms=0.1, head=head)


class MemoryPort:
    """An edge port over a dict."""

    def __init__(self) -> None:
        self.blocks: dict[str, BlockPolicy] = {}

    def enforce(self, blocks: Sequence[BlockPolicy]) -> int:
        self.blocks.update({block.id: block for block in blocks})
        return 2 * len(blocks)

    def lift(self, block_ids: Sequence[str]) -> None:
        for block_id in block_ids:
            self.blocks.pop(block_id, None)

    def active(self) -> Sequence[str]:
        now = time.time()
        return [block.id for block in self.blocks.values() if block.expires > now]
