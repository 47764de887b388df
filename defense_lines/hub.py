"""The hub carries each durable block to every line at once; no line waits for another."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter

from defense_lines.guard import Permit
from defense_lines.ledger import Answer, Blocked, Entry, InvalidRecord, Ledger, LedgerUnwritable, Lift, Story
from defense_lines.line import DefenseLine, Receipt
from defense_lines.lines.edge import EdgeLine
from defense_lines.orders import Pace
from defense_lines.outbox import Outbox
from defense_lines.status import LineStatus
from defense_lines.supervisor import Supervisor
from policy import BlockPolicy

_FOLLOWED = 10_000  # blocks whose stage times and latest answers are held in memory
_UNWRITTEN = 10_000  # blocks enforced at the edge that wait for a writable ledger
_RETRY = 0.5  # seconds between attempts to write what could not be written
_UNRECORDED = 2.0  # seconds that a story waits for answers on their way to the ledger
_DROPPED = Counter("portcullis_defense_lines_hub_dropped_total", "Blocks no longer offered to an unwritable ledger")
log = structlog.get_logger()


@dataclass(slots=True)
class _Course:
    """What is known at once about a block on its way."""

    accepted: float | None  # monotonic seconds; None where another process accepted it
    at_edge: float | None = None  # seconds since accepted, to the receipt of the edge, which does not wait
    durable: float | None = None  # seconds since accepted
    lifted: BlockPolicy | None = None  # the block, where this is the course of its lift
    answers: dict[str, Receipt] = field(default_factory=dict)  # the latest by line
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Hub:
    """One for all lines. `run` drives them until cancelled; the other methods belong to the same loop.

    `restore` puts what stands back onto the edge without waiting: call it before the edge lets anyone in.
    """

    def __init__(
        self,
        ledger: Ledger,
        lines: Sequence[DefenseLine] = (),
        clock: Callable[[], float] = time.time,
        pace: Pace | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        expected: Sequence[str] = (),
    ) -> None:
        """`expected` names lines that will connect: shown as away, and orders pend for them, until they do."""
        self._ledger = ledger
        self._clock = clock
        self._pace = pace or Pace()
        self._monotonic = monotonic
        self._supervisors: dict[str, Supervisor] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._edge: EdgeLine | None = None
        self._courses: OrderedDict[str, _Course] = OrderedDict()
        self._unwritten: dict[str, Permit] = {}  # at the edge, not yet acknowledged
        self._retry: set[str] = set()  # of these, what the ledger refused
        self._outbox = Outbox(ledger, self._cursors)
        for name in expected:
            self._supervise(name)
        for line in lines:
            self.attach(line)
        ledger.watch(self._committed)

    def restore(self) -> int:
        """Enforce at the edge whatever stands; how many blocks that is."""
        blocks = [block for block in self._ledger.live(self._clock()) if self._at_edge(block)]
        if self._edge and blocks:
            self._edge.enforce(blocks, str(self._ledger.head))
        return len(blocks)

    async def run(self) -> None:
        """Drive every line until cancelled; then write the answers that wait."""
        self.restore()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._outbox.run())
                tasks.create_task(self._write_again())
                for supervisor in self._supervisors.values():
                    tasks.create_task(supervisor.run())
        finally:
            self._tasks = None
            await self._outbox.flush()

    def attach(self, line: DefenseLine) -> None:
        """A line is there, for the first time or again."""
        supervisor = self._supervisors.get(line.name) or self._supervise(line.name)
        if isinstance(line, EdgeLine):
            self._edge = line
        supervisor.attach(line)

    def detach(self, line: DefenseLine) -> None:
        """A line has gone: it is shown as away, and what is pending waits for it."""
        if supervisor := self._supervisors.get(line.name):
            supervisor.detach(line)

    def wake(self, name: str) -> None:
        """A line that keeps its own connection is reachable again."""
        if supervisor := self._supervisors.get(name):
            supervisor.wake()

    async def submit(self, permit: Permit) -> BlockPolicy:
        """Enforce a block: `enforce`, then `record`."""
        self.enforce(permit)
        return await self.record(permit)

    def enforce(self, permit: Permit) -> None:
        """At the edge, at once: nothing is waited for. `record` has to follow. Raises TypeError (no permit)."""
        if not isinstance(permit, Permit):
            raise TypeError("a block needs the guard's permit")
        self._hold(permit)
        self._enforce_now(permit.block, self._follow(permit.block.id, permit.accepted))

    async def record(self, permit: Permit) -> BlockPolicy:
        """On record when this returns, and on every other line from then on.

        Raises LedgerUnwritable: the block is not acknowledged; the edge goes on enforcing it, and it is tried again
        until it expires. Raises InvalidRecord: nothing stands.
        """
        block = permit.block
        try:
            entry = await self._ledger.append(permit)
        except InvalidRecord:
            self._let_go(block.id)
            raise
        except LedgerUnwritable:
            if block.id in self._unwritten:  # not withdrawn meanwhile
                self._retry.add(block.id)
            raise
        self._written(block.id)
        if self._ledger.standing(block.id, self._clock()) is None:
            self._let_go(block.id)  # it was lifted, or has expired meanwhile
        return entry.record.policy if isinstance(entry.record, Blocked) else block

    async def lift(self, block_id: str, by: str, reason: str) -> bool:
        """End a block before its time, on record; False if no such block stands. Raises LedgerUnwritable."""
        block = self._ledger.standing(block_id, self._clock())
        if block is None:
            return await self._withdraw(block_id, by, reason)
        self._courses[block_id] = _Course(self._monotonic(), lifted=block)
        await self._ledger.append(Lift(block=block_id, by=by, reason=reason))
        return True

    def status(self) -> list[LineStatus]:
        """Every line ever attached, by name."""
        return [self._supervisors[name].status() for name in sorted(self._supervisors)]

    async def settled(self, block_id: str, deadline: float) -> list[Receipt]:
        """Each meant line's latest receipt, once all have answered for good or `deadline` seconds have passed.

        After a lift these are the receipts of the lift. A line that has not answered is not in the list.
        """
        course = self._follow(block_id, None)
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while not self._all_answered(block_id, course):
                    course.changed.clear()
                    await course.changed.wait()
        return [course.answers[name] for name in sorted(course.answers)]

    async def story(self, block_id: str) -> Story | None:
        """Everything that happened to a block, with what the lines answered up to this call."""
        if self._tasks:
            await self._outbox.empty(_UNRECORDED)
        return await self._ledger.story(block_id)

    def answered(self, receipt: Receipt, recorded: bool) -> None:
        """See Desk."""
        course = self._follow(receipt.block, None)
        course.answers[receipt.line] = receipt
        course.changed.set()
        if recorded:
            after = None if course.accepted is None else self._monotonic() - course.accepted
            self._outbox.post(Answer(block=receipt.block, receipt=receipt, after=after, durable=course.durable))

    def _supervise(self, name: str) -> Supervisor:
        supervisor = Supervisor(name, self._ledger, self, self._clock, self._pace, self._monotonic)
        self._supervisors[name] = supervisor
        if self._tasks:
            self._tasks.create_task(supervisor.run())
        return supervisor

    def _cursors(self) -> dict[str, int]:
        return {name: supervisor.cursor for name, supervisor in self._supervisors.items()}

    def unwritten(self) -> Collection[str]:
        """See Desk."""
        return self._unwritten.keys()

    def _at_edge(self, block: BlockPolicy) -> bool:
        return self._edge is not None and (not block.lines or self._edge.name in block.lines)

    def _hold(self, permit: Permit) -> None:
        self._unwritten[permit.block.id] = permit
        if len(self._unwritten) > _UNWRITTEN:
            self._written(next(iter(self._unwritten)))
            _DROPPED.inc()

    def _enforce_now(self, block: BlockPolicy, course: _Course) -> None:
        if self._edge is None or not self._at_edge(block):
            return
        try:
            (receipt,) = self._edge.enforce([block], str(self._ledger.head))
        except Exception as error:
            log.error("edge failed, its supervisor tries again", block=block.id, error=repr(error))
            return
        course.answers[self._edge.name] = receipt
        after = self._monotonic() - (course.accepted or 0.0)
        course.at_edge = after

    def _written(self, block_id: str) -> None:
        self._unwritten.pop(block_id, None)
        self._retry.discard(block_id)

    async def _withdraw(self, block_id: str, by: str, reason: str) -> bool:
        """A block that stands at the edge alone, for want of a writable ledger, can be lifted too."""
        if block_id not in self._unwritten:
            return False
        log.warning("unwritten block withdrawn", block=block_id, by=by, reason=reason)
        on_its_way = block_id not in self._retry
        self._let_go(block_id)
        if on_its_way:  # the ledger keeps the order of what it is given: this comes after the block
            await self._ledger.append(Lift(block=block_id, by=by, reason=reason))
        return True

    def _let_go(self, block_id: str) -> None:
        self._written(block_id)
        if self._edge and (supervisor := self._supervisors.get(self._edge.name)):
            supervisor.order(0, block_id, None)

    def _follow(self, block_id: str, accepted: float | None) -> _Course:
        course = self._courses.get(block_id)
        if course is None:
            course = self._courses[block_id] = _Course(accepted)
            if len(self._courses) > _FOLLOWED:
                self._courses.popitem(last=False)
        return course

    def _committed(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if isinstance(entry.record, Blocked):
                self._ordered(entry.seq, entry.record.policy)
            elif isinstance(entry.record, Lift):
                self._lifted(entry.seq, entry.record.block)

    def _ordered(self, seq: int, block: BlockPolicy) -> None:
        self._written(block.id)
        course = self._follow(block.id, None)
        if course.accepted is not None:
            course.durable = self._monotonic() - course.accepted
        for name, supervisor in self._supervisors.items():
            early = course.answers.get(name)
            if early is None:
                supervisor.order(seq, block.id, block)
                continue
            supervisor.enforced_already(seq, early)
            self._outbox.post(Answer(block=block.id, receipt=early, after=course.at_edge, durable=course.durable))

    def _lifted(self, seq: int, block_id: str) -> None:
        block = self._follow(block_id, None).lifted
        for supervisor in self._supervisors.values():
            if block is None or (supervisor.meant(block) and supervisor.able(block)):
                supervisor.order(seq, block_id, None)

    def _all_answered(self, block_id: str, course: _Course) -> bool:
        block = course.lifted or self._ledger.standing(block_id, self._clock())
        for name, supervisor in self._supervisors.items():
            if block and not supervisor.meant(block):
                continue
            if course.lifted and not supervisor.able(course.lifted):
                continue
            receipt = course.answers.get(name)
            if receipt is None or receipt.outcome == "failed":
                return False
        return True

    async def _write_again(self) -> None:
        """Blocks that the ledger could not take are offered again until they expire; without any, a probe is."""
        while True:
            await asyncio.sleep(_RETRY)
            for permit in [self._unwritten[block_id] for block_id in self._retry]:
                if permit.block.expires <= self._clock():
                    self._written(permit.block.id)
                elif permit.block.id in self._retry and not await self._append_again(permit):
                    break
            if not (self._ledger.writable or self._retry):
                await self._probe()

    async def _append_again(self, permit: Permit) -> bool:
        try:
            await self._ledger.append(permit)
        except LedgerUnwritable:
            return False
        except InvalidRecord as error:
            log.error("block cannot be recorded, let go", block=permit.block.id, error=str(error))
            self._let_go(permit.block.id)
        return True

    async def _probe(self) -> None:
        """A write that changes nothing tells whether the disk works again, though nobody has anything to record."""
        with suppress(LedgerUnwritable):
            await self._ledger.advance(EdgeLine.name, self._ledger.cursor(EdgeLine.name))
