"""A supervisor decides what one line is told next, and what its answers mean. It has no clock and no socket: the hub
carries out its steps and tells it how they went.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

import msgspec

from defense_lines.ledger import Noted, Whom
from defense_lines.line import Capabilities, Note, Order, Orders, Outcome, Receipts
from defense_lines.pace import Pace
from defense_lines.repairs import Repairs
from defense_lines.status import Service, State
from defense_lines.steps import Claim, Difference, List, Push, Seen, Standing, Step
from policy import BlockPolicy

_GRACE = 1.0  # seconds by which a line's expiry may trail ours
_UNDONE = "was told, and it is not so"
_DETAIL = 500  # characters of a line's own words that are kept
_ENFORCING: frozenset[Outcome] = frozenset({"enforced", "refused", "failed", "expired"})
_LIFTING: frozenset[Outcome] = frozenset({"lifted", "refused", "failed", "expired"})


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
        self.told_all = False  # since it was lost last: who is asked earlier may take away what he will be told
        self._ledger = ledger
        self._pace = pace
        self._capabilities: Capabilities | None = None  # None while the line is away
        self._most = pace.batch
        self._failures = 0
        self._broken = 0
        self._rest_until = 0.0
        self._reconcile_at = 0.0
        self._crowded: set[str] = set()  # of what it refused, that for which it had no room
        self._claims: list[Claim] = []  # told by its own word, and not seen to be so
        self._ends: list[tuple[float, str]] = []  # heap: monotonic seconds, id; where the line ends nothing by itself

    @property
    def line_is_there(self) -> bool:
        """Whether it is connected."""
        return self._capabilities is not None

    @property
    def lags(self) -> bool:
        """Whether there is more to tell the line than what is new."""
        return not self.told_all or self._ledger.last_order - self.cursor > self._most

    @property
    def safe_cursor(self) -> int:
        """Up to which entry the line has carried out everything: where to go on after a restart of ours."""
        oldest = self.repairs.oldest()
        known = self._claims[0][0] if self._claims else self.cursor
        return known if oldest is None else min(known, oldest - 1)

    def connected(self, capabilities: Capabilities, told: int | None, now: float, tick: float) -> None:
        """The line is there, for the first time or again. `told`: its own record of what it was told."""
        self._capabilities, self.whom = capabilities, Whom(self.name, capabilities.targets)
        if self.state == "away":
            self.state, self.last_error = "starting", ""
        self.refused.clear()
        self._crowded.clear()
        self.told_all = False
        self.wake(tick)
        if told is not None:
            self._says(told, tick)
        self._ends = []
        if not capabilities.ends:
            self._will_end(self._ledger.held(self.cursor, self.whom, now), now, tick)

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
        return self.push(now, tick) or self.question(now, tick)

    def push(self, now: float, tick: float) -> Push | None:
        """What to tell the line next."""
        if self.whom is None or not self._may(tick):
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
        self.told_all = True
        return None

    def question(self, now: float, tick: float) -> List | None:
        """What to ask the line, where it is time to."""
        return self._list(now, tick) if self._may(tick) and tick >= self._reconcile_at else None

    def due(self, asked: bool = False) -> float | None:
        """When there is something to do without a new order, monotonic seconds; None if the line has to come first.
        `asked`: it is being asked what it enforces.
        """
        if self._capabilities is None or self.service != "in_service":
            return None
        times = [math.inf if asked else self._reconcile_at]
        if not self.told_all:
            times.append(self._rest_until)
        if (repair := self.repairs.due()) is not None:
            times.append(repair)
        if self._ends:
            times.append(self._ends[0][0])
        return max(min(times), self._rest_until) if min(times) < math.inf else None

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
        if notes and self._room(now) < 0:
            notes = {block_id: self._crowd(asked[block_id], note) for block_id, note in notes.items()}
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
        if self._says(cursor, tick):
            self._reconcile_at = tick

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
        self.state, self.last_error = "failing", _words(error)
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

    def compare(self, step: List, ids: Iterable[str], now: float) -> Difference:
        """What the line enforces with what it should."""
        active = set(ids)
        held = self._ledger.held(step.upto, self.whom, now - _GRACE) if self.whom else set[str]()
        return Difference(active - held, held - active - self.refused)

    def listed(self, step: List, found: Difference | None, known: set[str], now: float, tick: float) -> Seen:
        """What the line enforces (None: what it should); of what it should not, `known` were ours."""
        if self.told_all:  # else it failed at what it was told meanwhile
            self._contact(now)
        self._reconcile_at = tick + self._pace.reconcile
        claims = [claim for claim in self._claims if claim[1] <= step.upto]
        self._claims = self._claims[len(claims) :]
        if found is None:
            self.foreign = ()
            self._offer(now, tick)
            return Seen(claims, [])
        missing = {block_id for block_id in found.missing if self._should_stand(block_id, now + _GRACE)}
        over = {block_id for block_id in known if not self._should_stand(block_id, now)}  # else told after it was asked
        notes = self._not_so([*missing, *over], claims, now, tick) if claims else []
        for block_id in missing:
            self._drift(step.upto, block_id, False, tick)
        for block_id in over:
            self._drift(0, block_id, True, tick)
        self.foreign = tuple(sorted(found.over - known)[:100])
        self._offer(now, tick)
        return Seen(claims, notes)

    def _says(self, told: int, tick: float) -> bool:
        """Up to where the line was told, by its own word; whether that can be. Where that is more than we know of, the
        answers were lost on our side: what lies between goes on record once it is seen to be so.
        """
        if not self._possible(told, tick):
            return False
        self._claims = [(after, min(upto, told)) for after, upto in self._claims if after < told]
        if told > self.cursor and self._capabilities and self._capabilities.lists:
            self._claims.append((self.cursor, told))
        self.cursor = told
        return True

    def _not_so(self, block_ids: Sequence[str], claims: Sequence[Claim], now: float, tick: float) -> list[Noted]:
        """Of these, the ones whose order the line was told and has not carried out."""
        places = (place for block_id in block_ids if (place := self._ledger.place(block_id)))
        orders = (each.order for each in places if any(after < each.order.seq <= upto for after, upto in claims))
        seen = Receipts(time=now, ms=0.0, head="")
        noted = (self._noted(order, Note(order.id, "failed", _UNDONE), seen, now, tick) for order in orders)
        return [each for each in noted if each]

    def _room(self, now: float) -> float:
        """How many blocks more the line can hold than are meant to stand there; below nothing, it is full."""
        room = self._capabilities.room if self._capabilities else None
        if room is None or self.whom is None:
            return math.inf
        refused = sum(self._ledger.standing(block_id, now) is not None for block_id in self.refused)
        return room - len(self.foreign) - self._ledger.digest(self.cursor, self.whom, now).count + refused

    def _crowd(self, order: Order, note: Note) -> Note:
        """What a full line says that it failed to do it has refused: there is no more room in a moment."""
        if note.outcome != "failed" or order.block is None:
            return note
        self._crowded.add(order.id)
        return msgspec.structs.replace(note, outcome="refused")

    def _offer(self, now: float, tick: float) -> None:
        """Where there is room again: what it had none for."""
        self.refused = {block_id for block_id in self.refused if self._ledger.standing(block_id, now)}
        self._crowded &= self.refused
        room = max(0.0, self._room(now)) if self._crowded else 0
        for block_id in sorted(self._crowded)[: int(min(room, len(self._crowded)))]:
            if place := self._ledger.place(block_id):
                self.repairs.want(place.order.seq, block_id, False, tick)

    def _should_stand(self, block_id: str, time: float) -> bool:
        block = self._ledger.standing(block_id, time)
        return block is not None and self.concerned(block)

    def _may(self, tick: float) -> bool:
        return self._capabilities is not None and self.service == "in_service" and tick >= self._rest_until

    def _told(self, orders: Orders) -> None:
        if orders.after is not None and orders.after <= self.cursor:  # else it has lost what came before, meanwhile
            self.cursor = max(self.cursor, orders.upto)

    def _will_end(self, block_ids: Iterable[str], now: float, tick: float) -> None:
        for block_id in block_ids:
            if block := self._ledger.standing(block_id, now):
                heapq.heappush(self._ends, (tick + block.expires - now, block_id))

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
            self._offer(now, tick)
            if self.state == "starting":
                self._contact(now)
            return None
        digest = self._ledger.digest(self.cursor, self.whom, now)
        for block_id in self.refused:
            if self._ledger.standing(block_id, now):
                digest = digest.minus(block_id)
        return List(digest, now, self.cursor)

    def _drift(self, seq: int, block_id: str, lift: bool, tick: float) -> None:
        if self.repairs.want(seq, block_id, lift, tick):
            self.drifted += 1

    def _noted(self, order: Order, note: Note, receipts: Receipts, now: float, tick: float) -> Noted | None:
        if note.outcome == "failed":
            self.last_error = _words(note.detail)
            lift = order.block is None
            if not self.repairs.failed(order.seq, order.id, lift, self._pace.pause, tick):
                return None  # only the first failure in a row goes into the history
        elif note.outcome == "refused":
            self.refused.add(order.id)
        return Noted(
            line=self.name,
            block=order.id,
            outcome=note.outcome,
            detail=_words(note.detail),
            time=note.time or receipts.time,
            ms=receipts.ms,
            received=now,
        )

    def _contact(self, now: float) -> None:
        self.state, self._failures, self._broken, self.last_contact = "up", 0, 0, now
        self.last_error = ""

    def _lost(self, state: State, error: str, tick: float) -> None:
        self.state, self.last_error, self.told_all = state, _words(error), False
        self._failures += 1
        self._rest_until = tick + self._pace.pause(self._failures)
        self._reconcile_at = tick  # it may have lost what it had


def _words(said: str) -> str:
    """A line's own words, as any record can hold them."""
    return said[:_DETAIL].encode(errors="replace").decode()


def _plain(order: Order) -> Note:
    return Note(order.id, "enforced" if order.block else "lifted")


def _fits(note: Note, order: Order | None) -> bool:
    return order is not None and note.outcome in (_ENFORCING if order.block else _LIFTING)
