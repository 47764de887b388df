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
from defense_lines.steps import List, Push, Seen, Step
from defense_lines.supervisor import Supervisor

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

    def tells_soon(self) -> bool:
        """Whether all lines are told in a moment what is new."""

    def seen(self, line: str, seen: Seen, now: float) -> None:
        """What a line said that it was told, was seen to be carried out, but for what is noted."""

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
        self._calling: CallingLine | None = None  # the same, if it calls back; asked for once, for that takes long
        self.delays = Delays()
        self._desk = desk
        self._pace = pace
        self._running = running
        self._clock = clock
        self._monotonic = monotonic
        self._task: asyncio.Task[None] | None = None  # while one does a step
        self._until = float("inf")  # monotonic seconds by which the line has to have answered it
        self._overdue = False
        self._asking = False  # until the question is on its way: what is told before it would be taken for drift
        self._told: tuple[CallingLine, Push, float] | None = None  # and since when, monotonic seconds
        self._timer: asyncio.Handle | None = None
        self._looks = 0.0  # monotonic seconds: when it looks again
        self._counted = _RECEIPTS.labels(supervisor.name)

    def attach(self, line: DefenseLine) -> None:
        """The line is there, perhaps in place of another: what that one was asked is waited for no longer."""
        self.detach()
        self.line = line
        self._calling = line if isinstance(line, CallingLine) else None

    def detach(self) -> None:
        """The line is gone."""
        self.line = self._calling = None
        if self._task is not None:
            self._task.cancel()
            self._task, self._until, self._overdue = None, float("inf"), False

    def kick(self) -> None:
        """There may be something to do: go on until the line has to be waited for, or there is nothing left."""
        tasks = self._running()
        if tasks is None or self._waits():
            return
        while (line := self.line) is not None and (step := self._next()):
            calling = self._calling
            if calling is None or isinstance(step, List):
                self._task = tasks.create_task(self._drive(line, step))
                if calling is not None:
                    self._asking = True
                    asyncio.get_running_loop().call_soon(self._asked)
                return
            if self._tell(calling, step):
                return
        self._rest()

    def look(self, tick: float) -> None:
        """End the wait for a line that has had its time. Looked at now and then: a timer for each batch costs more than
        the batch.
        """
        if self._told is not None and tick > self._told[2] + self._pace.deadline:
            (line, step, _), self._told = self._told, None
            line.give_up()
            if line is self.line:
                self._fault(step, TimeoutError())
            self.kick()
        if self._task is not None and tick > self._until:
            self._until, self._overdue = float("inf"), True
            self._task.cancel()

    def stop(self) -> None:
        """No more of it."""
        if self._timer:
            self._timer.cancel()

    def _waits(self) -> bool:
        """One step at a time; but who calls back is told while it is asked what it enforces: that may take long."""
        told = self._told is not None and self._told[0] is self.line
        return told or self._asking or (self._task is not None and self._calling is None)

    def _asked(self) -> None:
        """The question is on its way: orders may follow it."""
        self._asking = False
        self.kick()

    def _next(self) -> Step | None:
        supervisor, now, tick = self.supervisor, self._clock(), self._monotonic()
        if self._task is not None:
            return supervisor.push(now, tick)
        if self._calling is not None and supervisor.told_all:
            return supervisor.question(now, tick) or supervisor.push(now, tick)
        return supervisor.step(now, tick)

    def _tell(self, line: CallingLine, step: Push) -> bool:
        """Whether it was told, and is to be waited for."""
        started = self._monotonic()
        try:
            line.tell(step.orders, self._answered)
        except Exception as error:
            self._fault(step, error)
            return False
        self._told = line, step, started
        return True

    def _answered(self, line: CallingLine, answer: Receipts | Exception) -> None:
        if self._told is None or self._told[0] is not line:
            return  # another took its place, and is told again
        (_, step, started), self._told = self._told, None
        try:
            if isinstance(answer, Exception):
                raise answer
            if line is self.line:
                self._carried(step, answer, started)
        except Exception as error:
            if line is self.line:
                self._fault(step, error)
        if self.supervisor.lags or not self._desk.tells_soon():
            self.kick()

    async def _drive(self, line: DefenseLine, step: Step) -> None:
        """One step; then the next."""
        await self._do(line, step)
        if self._task is asyncio.current_task():  # else another line took its place
            self._task = None
            self.kick()

    def _rest(self) -> None:
        """Look again by the time that something is due; a timer that is early does no harm, and costs less to keep."""
        due, tick = self.supervisor.due(self._task is not None), self._monotonic()
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
        task, self._until = self._task, self._monotonic() + seconds
        try:
            return await asked
        except asyncio.CancelledError:
            if self._overdue and task and task is self._task:
                task.uncancel()
                raise TimeoutError from None
            raise
        finally:
            if task is self._task:
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
            self._overran(step, "no answer in time", tick)
        elif isinstance(error, LineBroken):
            self.broke(str(error))
        else:  # a driver's bug: counted, shown, tried again later
            log.error("line failed", line=supervisor.name, error=repr(error), at=_where(error))
            self._failed(step, repr(error))

    def _overran(self, step: Step, error: str, tick: float) -> None:
        if isinstance(step, Push):
            self.supervisor.overran(step.orders.orders, error, tick)
        else:
            self.supervisor.unavailable(error, tick)

    async def _push(self, line: DefenseLine, step: Push) -> None:
        started = self._monotonic()
        receipts = await self._answer(line.carry_out(step.orders), self._pace.deadline)
        if line is self.line:  # else another took its place, and is told again
            self._carried(step, receipts, started)

    def _carried(self, step: Push, receipts: Receipts, started: float) -> None:
        if receipts.head != step.orders.head:
            raise LineBroken("echoed another head than it was given")
        if not receipts.is_sound:
            raise LineBroken("gave a time that is none")
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
        found = None if ids is None else self.supervisor.compare(step, ids, self._clock())
        known = await self._desk.ours(found.over) if found and found.over else set[str]()
        if line is self.line:
            now = self._clock()
            seen = self.supervisor.listed(step, found, known, now, self._monotonic())
            self._desk.seen(self.supervisor.name, seen, now)

    def broke(self, error: str) -> None:
        """The line did what no working line does."""
        _BROKEN.labels(self.supervisor.name).inc()
        log.error("line answered what it cannot mean", line=self.supervisor.name, error=error)
        if self.supervisor.broke(error, self._monotonic()):
            self._desk.broken(self.supervisor.name, self.supervisor.last_error)

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
