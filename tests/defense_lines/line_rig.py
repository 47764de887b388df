"""A line in memory that can be away, fail, answer half or lie; and shorthand for blocks and permits."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

from defense_lines import (
    Capabilities,
    Digest,
    Guard,
    GuardLimits,
    LineBroken,
    LineUnavailable,
    Note,
    Order,
    Orders,
    Outcome,
    OutOfSequence,
    Permit,
    Receipts,
)
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

    cursor: int | None = None

    def __init__(self, name: str = "memory", targets: frozenset[TargetKind] = EVERY_KIND) -> None:
        self.name = name
        self.capabilities = Capabilities(targets=targets)
        self.blocks: dict[str, BlockPolicy] = {}
        self.foreign: set[str] = set()
        self.mood = "well"  # "away", "broken", "garbage", "half", "lying", "failing", "hanging", "refusing"
        self.most = 10_000  # blocks that it can take before any deadline
        self.missed: int | None = None  # entry up to which alone it was told everything, as it will say once
        self.poison = ""  # id of a block that breaks the driver
        self.applied: list[str] = []
        self.heads: list[str] = []
        self.batches: list[Orders] = []
        self.calls = asyncio.Event()

    async def carry_out(self, orders: Orders) -> Receipts:
        await self._mood()
        if self.missed is not None:
            missed, self.missed = self.missed, None
            raise OutOfSequence(missed)
        self.heads.append(orders.head)
        self.batches.append(orders)
        if len(orders.orders) > self.most:
            raise TimeoutError
        if any(order.id == self.poison for order in orders.orders):
            raise ValueError("this order breaks the driver")
        notes = [note for number, order in enumerate(orders.orders) if (note := self._do(order, number % 2 == 1))]
        return Receipts(time=time.time(), ms=0.1, head=orders.head, notes=tuple(notes))

    async def active(self, unless: Digest, now: float) -> Sequence[str] | None:
        await self._mood()
        ids = [block.id for block in self.blocks.values() if block.expires > now]
        return None if Digest.of(ids) == unless and not self.foreign else [*ids, *self.foreign]

    def _do(self, order: Order, second: bool) -> Note | None:
        if order.block is None:
            self.blocks.pop(order.id, None)
            return None
        if self.mood in ("failing", "refusing") or (self.mood == "half" and second):
            outcome: Outcome = "refused" if self.mood == "refusing" else "failed"
            return Note(order.id, outcome, "not today")
        self.applied.append(order.id)
        if self.mood != "lying":
            self.blocks[order.id] = order.block
        return None

    async def _mood(self) -> None:
        self.calls.set()
        await asyncio.sleep(0)
        if self.mood == "away":
            raise LineUnavailable("no route")
        if self.mood == "broken":
            raise RuntimeError("a bug in the driver")
        if self.mood == "garbage":
            raise LineBroken("seven bytes that are no message")
        if self.mood == "hanging":
            await asyncio.sleep(3600)


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

    def digest(self, time: float) -> Digest:
        return Digest.of(block.id for block in self.blocks.values() if block.expires > time)
