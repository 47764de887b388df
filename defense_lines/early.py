"""Blocks that the edge enforces already and the ledger has not acknowledged yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

import structlog
from prometheus_client import Counter

from defense_lines.guard import Permit
from defense_lines.ledger import Blocked, InvalidRecord, Ledger, LedgerUnwritable, Lift, Staged
from defense_lines.lines.edge import EdgeLine
from policy import BlockPolicy

_UNWRITTEN = 10_000  # blocks enforced at the edge that wait for a writable ledger
_RETRY = 0.5  # seconds between attempts to write what could not be written
_DROPPED = Counter("portcullis_defense_lines_hub_dropped_total", "Blocks no longer offered to an unwritable ledger")
log = structlog.get_logger()


class Early:
    """The edge does not wait for the disk: what it enforces is offered to the ledger until that takes it."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float], release: Callable[[str], None]) -> None:
        """`release` has the edge let go of a block that does not stand."""
        self.edge: EdgeLine | None = None
        self._ledger = ledger
        self._clock = clock
        self._release = release
        self._unwritten: dict[str, Permit] = {}  # at the edge, not yet acknowledged
        self._retry: set[str] = set()  # of these, what the ledger refused

    def restore(self) -> int:
        """Enforce whatever stands; how many blocks that is."""
        blocks = [block for block in self._ledger.live(self._clock()) if self._at_edge(block)]
        if self.edge and blocks:
            self.edge.restore(blocks)
        return len(blocks)

    def unwritten(self) -> Mapping[str, Permit]:
        """What is not acknowledged, by its block's id."""
        return MappingProxyType(self._unwritten)

    def enforce(self, permit: Permit) -> None:
        """At once. A port that fails is logged: the order comes again with the ledger's entry."""
        block = permit.block
        self._unwritten[block.id] = permit
        if len(self._unwritten) > _UNWRITTEN:
            self.written(next(iter(self._unwritten)))
            _DROPPED.inc()
        if self.edge and self._at_edge(block):
            try:
                self.edge.enforce(block)
            except Exception as error:
                log.error("edge failed, its supervisor tries again", block=block.id, error=repr(error))

    async def record(self, permit: Permit) -> BlockPolicy:
        """See Hub."""
        block = permit.block
        try:
            entry = await self._ledger.append(permit)
        except InvalidRecord:
            self._let_go(block.id)
            raise
        except LedgerUnwritable:
            self._again(block.id)
            raise
        self.written(block.id)
        if self._ledger.standing(block.id, self._clock()) is None:
            self._let_go(block.id)  # it was lifted, or has expired meanwhile
        return entry.record.policy if isinstance(entry.record, Blocked) else block

    def written(self, block_id: str) -> None:
        """It is on record."""
        self._unwritten.pop(block_id, None)
        self._retry.discard(block_id)

    async def withdraw(self, block_id: str, by: str, reason: str) -> bool:
        """A block that stands at the edge alone, for want of a writable ledger, can be lifted too."""
        if block_id not in self._unwritten:
            return False
        log.warning("unwritten block withdrawn", block=block_id, by=by, reason=reason)
        on_its_way = block_id not in self._retry
        self._let_go(block_id)
        if on_its_way:  # the ledger keeps the order of what it is given: this comes after the block
            await self._ledger.append(Lift(block=block_id, by=by, reason=reason))
        return True

    async def write_again(self) -> None:
        """Until cancelled: blocks that the ledger could not take are offered again until they expire; without any, a
        probe is.
        """
        while True:
            await asyncio.sleep(_RETRY)
            for permit in [self._unwritten[block_id] for block_id in self._retry]:
                if permit.block.expires <= self._clock():
                    self.written(permit.block.id)
                elif permit.block.id in self._retry and not await self._append_again(permit):
                    break
            if not (self._ledger.writable or self._retry):
                await self._probe()

    def _at_edge(self, block: BlockPolicy) -> bool:
        return not block.lines or EdgeLine.name in block.lines

    def _let_go(self, block_id: str) -> None:
        self.written(block_id)
        self._release(block_id)

    def _again(self, block_id: str) -> None:
        if block_id in self._unwritten:  # not withdrawn meanwhile
            self._retry.add(block_id)

    async def _append_again(self, permit: Permit) -> bool:
        """With what stages it. Meanwhile it is on its way: a lift comes after it in the ledger."""
        self._retry.discard(permit.block.id)
        try:
            await self._append(permit)
        except LedgerUnwritable:
            self._again(permit.block.id)
            return False
        except InvalidRecord as error:
            log.error("block cannot be recorded, let go", block=permit.block.id, error=str(error))
            self._let_go(permit.block.id)
        return True

    async def _append(self, permit: Permit) -> None:
        if (staged := Staged.of(permit)) is None:
            await self._ledger.append(permit)
            return
        first, block = await self._ledger.append_all([staged, permit])
        if isinstance(first, InvalidRecord):
            log.error("what stages a block cannot be recorded", block=permit.block.id, error=str(first))
        if isinstance(block, InvalidRecord):
            raise block

    async def _probe(self) -> None:
        """A write that changes nothing tells whether the disk works again, though nobody has anything to record."""
        with suppress(LedgerUnwritable):
            await self._ledger.advance(EdgeLine.name, self._ledger.cursor(EdgeLine.name))
