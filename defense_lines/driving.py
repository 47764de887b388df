"""Driving a line: its supervisor's steps, one after another, for as long as there is something to do."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

import structlog
from prometheus_client import Counter

from defense_lines.ledger import Noted
from defense_lines.line import CallingLine, DefenseLine, LineBroken, LineUnavailable, Orders, OutOfSequence, Receipts
from defense_lines.pace import Pace
from defense_lines.status import Delays
from defense_lines.supervisor import List, Push, Step, Supervisor

_RECEIPTS = Counter("portcullis_defense_lines_receipts_total", "Batches and notes that lines answered", ["line"])
_STRANGE = Counter("portcullis_defense_lines_strange_receipts_total", "Notes that answer no order", ["line"])
_BROKEN = Counter("portcullis_defense_lines_broken_answers_total", "Answers that no working line gives", ["line"])
_TICK = 0.001  # seconds by which a timer may be early: uvloop counts whole milliseconds
T = TypeVar("T")
log = structlog.get_logger()


class Desk(Protocol):
    """Who takes what a line answered: the hub."""

    def carried(self, line: str, orders: Orders, receipts: Receipts, now: float) -> None:
        """A batch was carried out, but for what is noted."""

    def noted(self, line: str, notes: Iterable[Noted]) -> None:
        """What there is to say beyond that."""

    def broken(self, line: str, error: str) -> None:
        """A line answered once too often what no working line would."""

    def delay(self, orders: Orders, tick: float) -> float | None:
        """Seconds since the first of these was ordered; None where that is not known any more."""

    async def ours(self, block_ids: set[str]) -> set[str]:
        """Of these, the ids of blocks that were ever ours to enforce, and that nobody else answers for now."""


class Driven:
    """One line, as the hub drives it. All of it belongs to one loop."""

    def __init__(
        self,
        supervisor: Supervisor,
        desk: Desk,
        pace: Pace,
        running: Callable[[], asyncio.TaskGroup | None],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """`running` is where tasks run; None where nothing does."""
        self.supervisor = supervisor
        self.line: DefenseLine | None = None
        self.delays = Delays()
        self._desk = desk
        self._pace = pace
        self._running = running
        self._clock = clock
        self._monotonic = monotonic
        self._task: asyncio.Task[None] | None = None  # while it is driven by one
        self._told: tuple[CallingLine, Push, float] | None = None  # and since when, monotonic seconds, while it is not
        self._until = float("inf")  # monotonic seconds by which the line has to have answered
        self._overdue = False
        self._timer: asyncio.Handle | None = None
        self._looks = 0.0  # monotonic seconds: when it looks again
        self._counted = _RECEIPTS.labels(supervisor.name)

    def kick(self) -> None:
        """There may be something to do: go on until the line has to be waited for, or there is nothing left."""
        tasks = self._running()
        if tasks is None or self._task is not None or (self._told and self._told[0] is self.line):
            return
        while (line := self.line) is not None and (step := self.supervisor.step(self._clock(), self._monotonic())):
            if not (isinstance(step, Push) and isinstance(line, CallingLine)):
                self._task = tasks.create_task(self._drive(line, step))
                return
            if self._tell(line, step):
                return
        self._rest()

    def look(self, tick: float) -> None:
        """End the wait for a line that has had its time. Looked at now and then: a timer for each batch costs more than
        the batch.
        """
        if tick <= self._until:
            return
        if self._told is not None:
            (line, step, _), self._told = self._told, None
            self._until = float("inf")
            line.give_up()
            if line is self.line:
                self._fault(step, TimeoutError())
            self.kick()
        elif self._task is not None:
            self._until, self._overdue = float("inf"), True
            self._task.cancel()

    def stop(self) -> None:
        """No more of it."""
        if self._timer:
            self._timer.cancel()

    def _tell(self, line: CallingLine, step: Push) -> bool:
        """Whether it was told, and is to be waited for."""
        started = self._monotonic()
        try:
            line.tell(step.orders, self._answered)
        except Exception as error:
            self._fault(step, error)
            return False
        self._told, self._until = (line, step, started), started + self._pace.deadline
        return True

    def _answered(self, line: CallingLine, answer: Receipts | Exception) -> None:
        if self._told is None or self._told[0] is not line:
            return  # another took its place, and is told again
        (_, step, started), self._told = self._told, None
        self._until = float("inf")
        try:
            if isinstance(answer, Exception):
                raise answer
            if line is self.line:
                self._carried(step, answer, started)
        except Exception as error:
            if line is self.line:
                self._fault(step, error)
        self.kick()

    async def _drive(self, line: DefenseLine, step: Step) -> None:
        """One step; then the next."""
        await self._do(line, step)
        self._task = None
        self.kick()

    def _rest(self) -> None:
        """Look again by the time that something is due; a timer that is early does no harm, and costs less to keep."""
        due, tick = self.supervisor.due(), self._monotonic()
        if due is None or tick < self._looks <= due:
            return
        self.stop()
        self._looks = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - tick), self._look_again)

    def _look_again(self) -> None:
        self._looks = 0.0  # the loop's clock may be a moment ahead of ours: then there is to be another timer
        self.kick()

    async def _answer(self, asked: Awaitable[T], seconds: float) -> T:
        """Raises TimeoutError."""
        self._until = self._monotonic() + seconds
        try:
            return await asked
        except asyncio.CancelledError:
            if self._overdue and self._task:
                self._task.uncancel()
                raise TimeoutError from None
            raise
        finally:
            self._until, self._overdue = float("inf"), False

    async def _do(self, line: DefenseLine, step: Step) -> None:
        try:
            await (self._push(line, step) if isinstance(step, Push) else self._list(line, step))
        except Exception as error:
            if line is self.line:  # of one whose place another took, nothing matters any more
                self._fault(step, error)

    def _fault(self, step: Step, error: Exception) -> None:
        supervisor, tick = self.supervisor, self._monotonic()
        if isinstance(error, LineUnavailable):
            supervisor.unavailable(str(error) or "cannot be reached", tick)
        elif isinstance(error, OutOfSequence):
            supervisor.rewound(error.cursor, tick)
        elif isinstance(error, TimeoutError):
            supervisor.overran(step.orders.orders if isinstance(step, Push) else (), "no answer in time", tick)
        elif isinstance(error, LineBroken):
            self._broke(str(error))
        else:  # a driver's bug: counted, shown, tried again later
            log.error("line failed", line=supervisor.name, error=repr(error), at=_where(error))
            self._failed(step, repr(error))

    async def _push(self, line: DefenseLine, step: Push) -> None:
        started = self._monotonic()
        receipts = await self._answer(line.carry_out(step.orders), self._pace.deadline)
        if line is self.line:  # else another took its place, and is told again
            self._carried(step, receipts, started)

    def _carried(self, step: Push, receipts: Receipts, started: float) -> None:
        if receipts.head != step.orders.head:
            raise LineBroken("echoed another head than it was given")
        now, tick = self._clock(), self._monotonic()
        if strange := self.supervisor.strange(step.orders, receipts):
            _STRANGE.labels(self.supervisor.name).inc(strange)
        notes = self.supervisor.answered(step.orders, receipts, tick - started, now, tick)
        self._counted.inc()
        if (delay := self._desk.delay(step.orders, tick)) is not None:
            self.delays.add(delay)
        if notes:
            self._desk.noted(self.supervisor.name, notes)
        self._desk.carried(self.supervisor.name, step.orders, receipts, now)

    async def _list(self, line: DefenseLine, step: List) -> None:
        ids = await self._answer(line.active(step.unless, step.time), self._pace.listing)
        known: set[str] = set()
        if ids is not None and (suspects := self.supervisor.suspects(step, ids, self._clock())):
            known = await self._desk.ours(suspects)
        if line is self.line:
            self.supervisor.listed(step, ids, known, self._clock(), self._monotonic())

    def _broke(self, error: str) -> None:
        _BROKEN.labels(self.supervisor.name).inc()
        log.error("line answered what it cannot mean", line=self.supervisor.name, error=error)
        if self.supervisor.broke(error, self._monotonic()):
            self._desk.broken(self.supervisor.name, error)

    def _failed(self, step: Step, error: str) -> None:
        now, tick = self._clock(), self._monotonic()
        if isinstance(step, Push):
            self._desk.noted(self.supervisor.name, self.supervisor.failed(step.orders, error, now, tick))
        else:
            self.supervisor.unavailable(error, tick)


def _where(error: Exception) -> str:
    # one frame, not a traceback with a thousand blocks in it: rendering that would hold up the loop
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno} {frame.name}"
