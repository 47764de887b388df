"""The hub carries each durable block to every line at once; no line waits for another."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import structlog
from prometheus_client import REGISTRY

from defense_lines.driving import Driven
from defense_lines.early import Early
from defense_lines.guard import Permit
from defense_lines.ledger import (
    Answered,
    Blocked,
    Declared,
    Entry,
    InvalidRecord,
    Ledger,
    LedgerUnwritable,
    Lift,
    Noted,
    Posture,
    Story,
    everything,
)
from defense_lines.line import CallingLine, DefenseLine, Order, Orders, Outcome, Receipts
from defense_lines.lines.edge import EdgeLine
from defense_lines.metrics import LinesCollector
from defense_lines.outbox import Outbox
from defense_lines.pace import Pace
from defense_lines.rounds import Rounds
from defense_lines.status import LineStatus, Service, State
from defense_lines.steps import Seen
from defense_lines.supervisor import Supervisor
from policy import BlockPolicy

_FOLLOWED = 100_000  # orders whose moment is held in memory
_LOOK = 0.1  # seconds between looks for lines that take too long
_SLICE = 64  # lines that are told in one turn of the loop
_UNRECORDED = 2.0  # seconds that a story waits for answers on their way to the ledger
log = structlog.get_logger()


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
        """`expected` names lines that will connect: shown as away, and orders wait for them, until they do."""
        self._ledger = ledger
        self._clock = clock
        self._pace = pace or Pace()
        self._monotonic = monotonic
        self._driven: dict[str, Driven] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._early = Early(ledger, clock, self._release)
        self._ordered: OrderedDict[int, float] = OrderedDict()  # when, monotonic seconds, by entry
        self._news = asyncio.Event()
        self._rounds = Rounds()
        self._answer = asyncio.Event()
        self._outbox = Outbox(ledger, lambda name: self._driven[name].supervisor.safe_cursor)
        for name in expected:
            self._drive(name)
        for line in lines:
            self.attach(line)
        ledger.watch(self._committed)

    def restore(self) -> int:
        """Enforce at the edge whatever stands; how many blocks that is."""
        return self._early.restore()

    async def run(self) -> None:
        """Drive every line until cancelled; then write the answers that wait."""
        self.restore()
        collector = LinesCollector(self.status)
        REGISTRY.register(collector)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._outbox.run())
                tasks.create_task(self._early.write_again())
                tasks.create_task(self._tell())
                tasks.create_task(self._watch())
                for driven in self._driven.values():
                    self._declare(driven)
                    driven.kick()
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    self._tasks = None  # before the others end: nothing begins any more
        finally:
            REGISTRY.unregister(collector)
            for driven in self._driven.values():
                driven.stop()
            await self._outbox.flush()

    def attach(self, line: DefenseLine) -> None:
        """A line is there, for the first time or again."""
        if isinstance(line, EdgeLine):
            self._early.edge = line
        driven = self._driven.get(line.name) or self._drive(line.name)
        driven.attach(line)
        told = None if line.cursor is None else self._ledger.trusted(line.name, line.cursor)
        driven.supervisor.connected(line.capabilities, told, self._clock(), self._monotonic())
        self._declare(driven)
        driven.kick()

    def detach(self, line: DefenseLine) -> None:
        """A line has gone: it is shown as away, and what it is to be told waits. Nothing if another took its place."""
        driven = self._driven.get(line.name)
        if driven and driven.line is line:
            if isinstance(line, CallingLine) and line.fault:
                driven.broke(line.fault)
            driven.detach()
            driven.supervisor.disconnected("disconnected", self._monotonic())

    def wake(self, name: str) -> None:
        """A line that keeps its own connection is reachable again."""
        if driven := self._driven.get(name):
            driven.supervisor.wake(self._monotonic())
            driven.kick()

    async def submit(self, permit: Permit) -> BlockPolicy:
        """Enforce a block: `enforce`, then `record`."""
        self.enforce(permit)
        return await self.record(permit)

    def enforce(self, permit: Permit) -> None:
        """At the edge, at once: nothing is waited for. `record` has to follow. Raises TypeError (no permit)."""
        if not isinstance(permit, Permit):
            raise TypeError("a block needs the guard's permit")
        self._early.enforce(permit)

    async def record(self, permit: Permit) -> BlockPolicy:
        """On record when this returns, and on its way to every other line.

        Raises LedgerUnwritable: the block is not acknowledged; the edge goes on enforcing it, and it is tried again
        until it expires. Raises InvalidRecord: nothing stands.
        """
        return await self._early.record(permit)

    async def lift(self, block_id: str, by: str, reason: str) -> bool:
        """End a block before its time, on record; False if no such block stands. Raises LedgerUnwritable."""
        if self._ledger.standing(block_id, self._clock()) is None:
            return await self._early.withdraw(block_id, by, reason)
        await self._ledger.append(Lift(block=block_id, by=by, reason=reason))
        return True

    def unwritten(self) -> Mapping[str, Permit]:
        """What the edge enforces and no entry orders yet, by its block's id."""
        return self._early.unwritten()

    async def serve(self, line: str, service: Service, by: str, reason: str) -> bool:
        """Give a line orders, or none for now; on record. False if there is no such line. Raises LedgerUnwritable."""
        if line not in self._driven:
            return False
        await self._ledger.append(Posture(line=line, state=service, by=by, reason=reason))
        return True

    def states(self) -> dict[str, State]:
        """Every line ever attached, by name: at no cost, however many there are and whatever waits for them."""
        return {name: self._driven[name].supervisor.state for name in sorted(self._driven)}

    def status(self) -> list[LineStatus]:
        """Every line ever attached, by name."""
        return [self._status(self._driven[name]) for name in sorted(self._driven)]

    async def settled(self, block_id: str, deadline: float) -> dict[str, Outcome]:
        """Each line's last word on a block, or on its lift, once all that it concerns have answered for good or
        `deadline` seconds have passed; a line that has not answered is not among them.
        """
        place = self._ledger.place(block_id)
        if place is None:
            return {}
        seq, block = place.order.seq, place.block
        end = self._monotonic() + deadline
        concerned = [each for each in self._supervisors() if each.concerned(block) and each.service == "in_service"]
        while any(not _answered(each, seq, block_id) for each in concerned) and self._monotonic() < end:
            self._answer.clear()
            try:
                async with asyncio.timeout(end - self._monotonic()):
                    await self._answer.wait()
            except TimeoutError:
                break
        told = [each for each in concerned if each.cursor >= seq]
        return {each.name: _outcome(each, place.order) for each in told}

    async def story(self, block_id: str) -> Story | None:
        """Everything that happened to a block, with what the lines answered up to this call."""
        if self._tasks:
            await self._outbox.empty(_UNRECORDED)
        return await self._ledger.story(block_id)

    def carried(self, line: str, orders: Orders, receipts: Receipts, now: float) -> None:
        """See Desk."""
        if orders.after is not None:
            answered = Answered(line, receipts.time, receipts.ms, now)
            self._outbox.carried(orders.after, orders.upto, receipts.head, answered)
        self._answer.set()

    def noted(self, line: str, notes: Iterable[Noted]) -> None:
        """See Desk."""
        self._outbox.noted(notes)
        self._answer.set()

    def tells_soon(self) -> bool:
        """See Desk."""
        return self._news.is_set()

    def seen(self, line: str, seen: Seen, now: float) -> None:
        """See Desk."""
        for after, upto in seen.claims:
            self._outbox.carried(after, upto, "", Answered(line, now, 0.0, now))
        if seen.notes:
            self.noted(line, seen.notes)

    def broken(self, line: str, error: str) -> None:
        """See Desk."""
        if self._tasks:
            self._tasks.create_task(self._quarantine(line, error))

    def delay(self, orders: Orders, tick: float) -> float | None:
        """See Desk."""
        ordered = self._ordered.get(orders.orders[0].seq)
        return None if ordered is None else tick - ordered

    async def ours(self, block_ids: set[str]) -> set[str]:
        """See Desk."""
        return await self._ledger.known(block_ids.difference(self._early.unwritten()))

    def _supervisors(self) -> Iterator[Supervisor]:
        return (driven.supervisor for driven in self._driven.values())

    def _drive(self, name: str) -> Driven:
        supervisor = Supervisor(name, self._ledger, self._ledger.cursor(name), self._pace)
        if posture := self._ledger.posture(name):
            supervisor.service = posture.state
        driven = Driven(supervisor, self, self._pace, lambda: self._tasks, self._clock, self._monotonic)
        self._driven[name] = driven
        return driven

    async def _watch(self) -> None:
        """Nobody waits for a line longer than it may take."""
        while True:
            await asyncio.sleep(_LOOK)
            tick = self._monotonic()
            for driven in self._driven.values():
                driven.look(tick)

    async def _tell(self) -> None:
        """Whenever there are new orders: every line, a slice in each turn of the loop."""
        while True:
            await self._news.wait()
            if (early := self._rounds.due() - self._monotonic()) > 0:
                await asyncio.sleep(early)
            self._news.clear()
            self._rounds.begin(self._monotonic())
            for number, driven in enumerate(list(self._driven.values()), 1):
                driven.kick()
                if number % _SLICE == 0:
                    await asyncio.sleep(0)

    def _committed(self, entries: Sequence[Entry]) -> None:
        """What is durable now; called before the appends return. No record depends on what this does."""
        for entry in entries:
            record = entry.record
            if isinstance(record, Blocked):
                self._early.written(record.block)
                self._order(entry.seq)
            elif isinstance(record, Lift):
                self._order(entry.seq)
            elif isinstance(record, Posture) and (driven := self._driven.get(record.line)):
                driven.supervisor.service = record.state
                self._news.set()

    def _order(self, seq: int) -> None:
        self._ordered[seq] = self._monotonic()
        if len(self._ordered) > _FOLLOWED:
            self._ordered.popitem(last=False)
        self._news.set()

    def _declare(self, driven: Driven) -> None:
        """What a line can do goes on record when it changes."""
        line = driven.line
        if self._tasks and line and self._ledger.declared(line.name) != line.capabilities:
            self._tasks.create_task(self._on_record(Declared(line=line.name, capabilities=line.capabilities)))

    async def _quarantine(self, line: str, error: str) -> None:
        self._driven[line].supervisor.service = "quarantined"
        await self._on_record(Posture(line=line, state="quarantined", by="guard:lines", reason=error))

    async def _on_record(self, record: Declared | Posture) -> None:
        try:
            await self._ledger.append(record)
        except (LedgerUnwritable, InvalidRecord) as error:
            log.error("line's record not written", line=record.line, error=str(error))

    def _release(self, block_id: str) -> None:
        """The edge lets go of a block that no entry orders."""
        if driven := self._driven.get(EdgeLine.name):
            driven.supervisor.release(block_id, self._monotonic())
            driven.kick()

    def _status(self, driven: Driven) -> LineStatus:
        supervisor, now = driven.supervisor, self._clock()
        whom = supervisor.whom
        held = self._ledger.digest(supervisor.cursor, whom, now).count if whom and supervisor.line_is_there else 0
        waiting = self._ledger.behind(supervisor.cursor, whom or everything(supervisor.name), now)
        return LineStatus(
            name=supervisor.name,
            state=supervisor.state,
            service=supervisor.service,
            capabilities=self._ledger.declared(supervisor.name),
            cursor=supervisor.cursor,
            pending=waiting + len(supervisor.repairs),
            last_contact=supervisor.last_contact,
            last_error=supervisor.last_error,
            enforced=max(0, held - len(supervisor.refused) - len(supervisor.repairs)),
            refused=len(supervisor.refused),
            foreign=supervisor.foreign,
            drifted=supervisor.drifted,
            p50_ms=driven.delays.ms(0.5),
            p99_ms=driven.delays.ms(0.99),
        )


def _answered(supervisor: Supervisor, seq: int, block_id: str) -> bool:
    return supervisor.cursor >= seq and block_id not in supervisor.repairs


def _outcome(supervisor: Supervisor, order: Order) -> Outcome:
    if order.id in supervisor.repairs:
        return "failed"
    if order.id in supervisor.refused:
        return "refused"
    return "enforced" if order.block else "lifted"
