"""A supervisor decides what one line is told next, and what its answers mean. It has no clock and no socket: the hub
carries out its steps and tells it how they went.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from defense_lines.ledger import Noted, Whom
from defense_lines.line import Capabilities, Digest, Note, Order, Orders, Outcome, Receipts
from defense_lines.pace import Pace
from defense_lines.repairs import Repairs
from defense_lines.status import Service, State
from policy import BlockPolicy

_GRACE = 1.0  # seconds by which a line's expiry may trail ours
_DETAIL = 500  # characters of a line's own words that are kept
_ENFORCING: frozenset[Outcome] = frozenset({"enforced", "refused", "failed", "expired"})
_LIFTING: frozenset[Outcome] = frozenset({"lifted", "refused", "failed", "expired"})


class Standing(Protocol):
    """What a supervisor needs of the ledger."""

    @property
    def last_order(self) -> int:
        """The newest entry that ordered anything."""

    def orders(self, after: int, whom: Whom, now: float, limit: int) -> Orders:
        """What a line is told that was told everything up to entry `after`."""

    def repair(self, orders: tuple[Order, ...], now: float) -> Orders:
        """The same for orders out of turn."""

    def digest(self, upto: int, whom: Whom, time: float) -> Digest:
        """Of what a line should hold that was told everything up to entry `upto`."""

    def held(self, upto: int, whom: Whom, time: float) -> set[str]:
        """The ids of the same."""

    def behind(self, after: int, whom: Whom, now: float) -> int:
        """How many orders a line has still to be told."""

    def standing(self, block_id: str, now: float) -> BlockPolicy | None:
        """The block, if it stands now."""


@dataclass(frozen=True, slots=True)
class Push:
    """Have the line carry this out."""

    orders: Orders


@dataclass(frozen=True, slots=True)
class List:
    """Ask the line what it enforces."""

    unless: Digest
    time: float  # Unix seconds
    upto: int  # what the line had been told then


Step = Push | List


class Supervisor:
    """One line's. `now` is Unix seconds by our clock, `tick` monotonic seconds. A line comes and goes; while it is away
    what it has to be told waits in the ledger.
    """

    def __init__(self, name: str, ledger: Standing, cursor: int, pace: Pace) -> None:
        """`cursor`: up to which entry the line has answered, as far as is on record."""
        self.name = name
        self.cursor = cursor
        self.state: State = "away"
        self.service: Service = "in_service"
        self.last_error = "has not connected yet"
        self.last_contact: float | None = None
        self.refused: set[str] = set()
        self.foreign: tuple[str, ...] = ()
        self.drifted = 0
        self.repairs = Repairs()
        self.whom: Whom | None = None  # None while the line has never connected
        self._ledger = ledger
        self._pace = pace
        self._capabilities: Capabilities | None = None  # None while the line is away
        self._most = pace.batch
        self._failures = 0
        self._broken = 0
        self._rest_until = 0.0
        self._reconcile_at = 0.0
        self._ends: list[tuple[float, str]] = []  # heap: monotonic seconds, id; where the line ends nothing by itself

    @property
    def line_is_there(self) -> bool:
        """Whether it is connected."""
        return self._capabilities is not None

    @property
    def safe_cursor(self) -> int:
        """Up to which entry the line has carried out everything: where to go on after a restart of ours."""
        oldest = self.repairs.oldest()
        return self.cursor if oldest is None else min(self.cursor, oldest - 1)

    def connected(
        self, capabilities: Capabilities, told: int | None, now: float, tick: float
    ) -> tuple[int, int] | None:
        """The line is there, for the first time or again. `told`: its own record of what it was told. Where that is
        more than we know of, both: it carried out what lies between, and the answers were lost on our side.
        """
        self._capabilities, self.whom = capabilities, Whom(self.name, capabilities.targets)
        if self.state == "away":
            self.state, self.last_error = "starting", ""
        self.refused.clear()
        self.wake(tick)
        known = self.cursor
        if told is not None and self._possible(told, tick):
            self.cursor = told
        self._ends = []
        if not capabilities.ends:
            self._will_end(self._ledger.held(self.cursor, self.whom, now), now, tick)
        return (known, self.cursor) if self.cursor > known else None

    def disconnected(self, why: str, tick: float) -> None:
        """The line has gone."""
        self._capabilities = None
        self._lost("away", why, tick)

    def wake(self, tick: float) -> None:
        """Do not wait any longer: the line may be reachable again, and may have lost what it had."""
        self._failures, self._rest_until, self._reconcile_at = 0, tick, tick

    def concerned(self, block: BlockPolicy) -> bool:
        """Whether the line is meant and able; able is assumed while it has never connected."""
        return self.whom.concerns(block) if self.whom else not block.lines or self.name in block.lines

    def step(self, now: float, tick: float) -> Step | None:
        """What to do next; None if there is nothing to do, or not yet (see `due`)."""
        if self._capabilities is None or self.whom is None or self.service != "in_service" or tick < self._rest_until:
            return None
        while self._ends and self._ends[0][0] <= tick:
            self.repairs.want(0, heapq.heappop(self._ends)[1], True, tick)
        if orders := self.repairs.take(self._most, tick, lambda block_id: self._ledger.standing(block_id, now)):
            return Push(self._ledger.repair(orders, now))
        if self.cursor < self._ledger.last_order:
            told = self._ledger.orders(self.cursor, self.whom, now, self._most)
            if told.orders:
                return Push(told)
            self.cursor = told.upto
        if tick >= self._reconcile_at:
            return self._list(now, tick)
        return None

    def due(self) -> float | None:
        """When there is something to do without a new order, monotonic seconds; None if the line has to come first."""
        if self._capabilities is None or self.service != "in_service":
            return None
        repair = self.repairs.due()
        work = self._reconcile_at if repair is None else min(repair, self._reconcile_at)
        end = self._ends[0][0] if self._ends else work
        return max(min(work, end), self._rest_until)

    def answered(self, orders: Orders, receipts: Receipts, seconds: float, now: float, tick: float) -> list[Noted]:
        """The line answered a batch after `seconds`; what has to be noted of it."""
        self._contact(now)
        if seconds < self._pace.deadline / 4:
            self._most = min(self._pace.batch, self._most * 2)
        self._told(orders)
        if self._capabilities and not self._capabilities.ends:
            self._will_end((order.id for order in orders.orders if order.block), now, tick)
        if not (receipts.notes or self.repairs or self.refused):
            return []
        asked = {order.id: order for order in orders.orders}
        notes = {note.block: note for note in receipts.notes if _fits(note, asked.get(note.block))}
        failed = {block_id for block_id, note in notes.items() if note.outcome == "failed"}
        self.repairs.done(asked.keys() - failed)
        self.refused.difference_update(asked)
        if orders.after is None:
            notes = {order.id: notes.get(order.id) or _plain(order) for order in orders.orders}
        noted = (self._noted(asked[block_id], note, receipts, now, tick) for block_id, note in notes.items())
        return [each for each in noted if each]

    def strange(self, orders: Orders, receipts: Receipts) -> int:
        """How many of a batch's notes speak of nothing that was asked."""
        asked = {order.id: order for order in orders.orders} if receipts.notes else {}
        return sum(not _fits(note, asked.get(note.block)) for note in receipts.notes)

    def rewound(self, cursor: int, tick: float) -> None:
        """The line says that it was told everything only up to here."""
        if self._possible(cursor, tick):
            self.cursor, self._reconcile_at = cursor, tick

    def unavailable(self, error: str, tick: float) -> None:
        """It could not be reached, or has not answered in time; the same is tried again."""
        self._lost("away", error, tick)

    def overran(self, orders: Sequence[Order], error: str, tick: float) -> None:
        """No answer within the deadline: too much at once, perhaps."""
        self._most = max(1, len(orders) // 2)
        self._lost("away", error, tick)

    def broke(self, error: str, tick: float) -> bool:
        """It answered what no working line would; whether that was once too often."""
        self._broken += 1
        self._lost("failing", error, tick)
        return self._broken >= self._pace.broken

    def failed(self, orders: Orders, error: str, now: float, tick: float) -> list[Noted]:
        """The driver broke: perhaps one order breaks it, so that smaller batches find it and let the others pass."""
        self.state, self.last_error = "failing", error
        if len(orders.orders) > 1:
            self._most = max(1, len(orders.orders) // 2)
            self._rest_until = tick + self._pace.shortest
            return []
        (order,) = orders.orders
        self._told(orders)
        note = Note(order.id, "failed", error)
        noted = self._noted(order, note, Receipts(time=now, ms=0.0, head=orders.head), now, tick)
        return [noted] if noted else []

    def release(self, block_id: str, tick: float) -> None:
        """Have the line let go of what no entry orders."""
        self.repairs.done([block_id])
        self.repairs.want(0, block_id, True, tick)

    def suspects(self, step: List, ids: Iterable[str], now: float) -> set[str]:
        """Of what the line enforces, that which it should not, or which is none of ours."""
        return set(ids) - self._held(step, now - _GRACE)

    def listed(self, step: List, ids: Iterable[str] | None, known: set[str], now: float, tick: float) -> None:
        """What the line enforces (None: what it should); of what it should not, `known` were ours."""
        self._contact(now)
        self._reconcile_at = tick + self._pace.reconcile
        if ids is None or self.whom is None:
            self.foreign = ()
            return
        active = set(ids)
        held = self._held(step, now + _GRACE)
        self.refused &= held
        for block_id in held - active - self.refused:
            self._drift(step.upto, block_id, False, tick)
        for block_id in known:
            self._let_go(block_id, now, tick)
        self.foreign = tuple(sorted(self.suspects(step, active, now) - known)[:100])

    def _told(self, orders: Orders) -> None:
        if orders.after is not None and orders.after <= self.cursor:  # else it has lost what came before, meanwhile
            self.cursor = max(self.cursor, orders.upto)

    def _will_end(self, block_ids: Iterable[str], now: float, tick: float) -> None:
        for block_id in block_ids:
            if block := self._ledger.standing(block_id, now):
                heapq.heappush(self._ends, (tick + block.expires - now, block_id))

    def _held(self, step: List, time: float) -> set[str]:
        return self._ledger.held(step.upto, self.whom, time) if self.whom else set()

    def _possible(self, told: int, tick: float) -> bool:
        """Whether a line can have been told so much."""
        last = self._ledger.last_order
        if told > last:
            self._lost("failing", f"was told everything up to entry {told}, our last order is {last}", tick)
        return told <= last

    def _list(self, now: float, tick: float) -> List | None:
        if self.whom is None or self._capabilities is None:
            return None
        if not self._capabilities.lists:
            self._reconcile_at = tick + self._pace.reconcile
            if self.state == "starting":
                self._contact(now)
            return None
        digest = self._ledger.digest(self.cursor, self.whom, now)
        for block_id in self.refused:
            if self._ledger.standing(block_id, now):
                digest = digest.minus(block_id)
        return List(digest, now, self.cursor)

    def _let_go(self, block_id: str, now: float, tick: float) -> None:
        block = self._ledger.standing(block_id, now)
        if block and self.concerned(block):
            return  # told after it was asked
        self._drift(0, block_id, True, tick)

    def _drift(self, seq: int, block_id: str, lift: bool, tick: float) -> None:
        if self.repairs.want(seq, block_id, lift, tick):
            self.drifted += 1

    def _noted(self, order: Order, note: Note, receipts: Receipts, now: float, tick: float) -> Noted | None:
        if note.outcome == "failed":
            self.last_error = note.detail
            lift = order.block is None
            if not self.repairs.failed(order.seq, order.id, lift, self._pace.pause, tick):
                return None  # only the first failure in a row goes into the history
        elif note.outcome == "refused":
            self.refused.add(order.id)
        return Noted(
            line=self.name,
            block=order.id,
            outcome=note.outcome,
            detail=note.detail[:_DETAIL],
            time=note.time or receipts.time,
            ms=receipts.ms,
            received=now,
        )

    def _contact(self, now: float) -> None:
        self.state, self._failures, self._broken, self.last_contact = "up", 0, 0, now
        self.last_error = ""

    def _lost(self, state: State, error: str, tick: float) -> None:
        self.state, self.last_error = state, error
        self._failures += 1
        self._rest_until = tick + self._pace.pause(self._failures)
        self._reconcile_at = tick  # it may have lost what it had


def _plain(order: Order) -> Note:
    return Note(order.id, "enforced" if order.block else "lifted")


def _fits(note: Note, order: Order | None) -> bool:
    return order is not None and note.outcome in (_ENFORCING if order.block else _LIFTING)
