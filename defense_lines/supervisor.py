"""A supervisor drives one line: pushes what is pending, pauses when it fails, and finds and repairs drift."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from defense_lines.ledger import Blocked, Entry, Ledger
from defense_lines.line import DefenseLine, LineUnavailable, Outcome, Receipt
from defense_lines.orders import Order, Orders, Pace
from defense_lines.status import Delays, LineStatus, State
from policy import BlockPolicy

_APPLIED: frozenset[Outcome] = frozenset({"enforced", "refused", "failed", "expired"})
_REVOKED: frozenset[Outcome] = frozenset({"lifted", "refused", "failed", "expired"})
_ORDERS = ("block", "lift")
_GRACE = 1.0  # seconds by which a line's expiry may trail ours
_DETAIL = 500  # characters of a line's own words that are kept
_RECEIPTS = Counter("portcullis_defense_lines_receipts_total", "Receipts", ["line", "outcome"])
_STRANGE = Counter("portcullis_defense_lines_strange_receipts_total", "Receipts that answer no order", ["line"])
_DRIFT = Counter("portcullis_defense_lines_drift_total", "Blocks found missing, left over, foreign", ["line", "what"])
_PENDING = Gauge("portcullis_defense_lines_pending", "Orders not yet answered for good", ["line"])
_UP = Gauge("portcullis_defense_lines_up", "1 while the line answers", ["line"])
_DELAY = Histogram(
    "portcullis_defense_lines_enforced_seconds",
    "From ordered to receipt",
    ["line"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30),
)
log = structlog.get_logger()


class Desk(Protocol):
    """Who a supervisor answers to: the hub."""

    def answered(self, receipt: Receipt, recorded: bool) -> None:
        """A line answered; `recorded` is whether the answer goes into the history."""

    def unwritten(self) -> Collection[str]:
        """Blocks that the edge enforces already and the ledger has not acknowledged."""


class Supervisor:
    """One line's. The line may come and go: without a driver it is away, and what is pending stays pending."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        desk: Desk,
        clock: Callable[[], float] = time.time,
        pace: Pace | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.line: DefenseLine | None = None
        self._ledger = ledger
        self._desk = desk
        self._clock = clock
        self._pace = pace or Pace()
        self._monotonic = monotonic
        self._from = ledger.cursor(name)
        self._caught_up = False
        self._orders = Orders(self._from)
        self._wake = asyncio.Event()
        self._state: State = "away"
        self._failures = 0
        self._rest_until = 0.0
        self._reconcile_at = 0.0
        self._swept = monotonic()
        self._batch = self._pace.batch
        self._enforced: set[str] = set()
        self._refused: set[str] = set()
        self._failed: set[str] = set()
        self._foreign: tuple[str, ...] = ()
        self._drifted = 0
        self._last_contact: float | None = None
        self._last_error = "has not connected yet"
        self._delays = Delays()

    @property
    def cursor(self) -> int:
        """Up to which entry every order is answered."""
        return self._orders.cursor if self._caught_up else self._from

    def attach(self, line: DefenseLine) -> None:
        """The line has (re)connected: try at once, and compare what it enforces with what it should."""
        if self.line is None:
            self._state, self._last_error = "starting", ""
        self.line = line
        self._refused.clear()
        self.wake()

    def detach(self, line: DefenseLine) -> None:
        """The line has gone. Without effect if another took its place already."""
        if self.line is line:
            self.line = None
            self._enforced.clear()
            self._lost("away", "disconnected")

    def wake(self) -> None:
        """Do not wait any longer: the line may be reachable again."""
        self._failures, self._rest_until, self._reconcile_at = 0, 0.0, 0.0
        self._wake.set()

    def meant(self, block: BlockPolicy) -> bool:
        """Whether the block asks for this line."""
        return not block.lines or self.name in block.lines

    def able(self, block: BlockPolicy) -> bool:
        """Whether the line can enforce the block's kind of target; assumed while it has never connected."""
        return self.line is None or block.target.kind in self.line.targets

    def order(self, seq: int, block_id: str, block: BlockPolicy | None) -> None:
        """A durable order: enforce `block`, or stop enforcing `block_id`."""
        if block is None or self.meant(block):
            self._orders.add(Order(seq, block_id, block, self._monotonic()))
            self._wake.set()
        else:
            self._orders.seen(seq)

    def enforced_already(self, seq: int, receipt: Receipt) -> None:
        """The edge did it before it was ordered."""
        self._orders.seen(seq)
        self._enforced.add(receipt.block)
        self._refused.discard(receipt.block)
        self._contact([])
        self._count(receipt)

    def status(self) -> LineStatus:
        """As of now."""
        live = self._ledger.live(self._clock())
        return LineStatus(
            name=self.name,
            state=self._state,
            pending=len(self._orders),
            last_contact=self._last_contact,
            last_error=self._last_error,
            enforced=sum(block.id in self._enforced for block in live),
            refused=sum(block.id in self._refused for block in live),
            foreign=self._foreign,
            drifted=self._drifted,
            p50_ms=self._delays.ms(0.5),
            p99_ms=self._delays.ms(0.99),
        )

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if not self._caught_up:
                    await self._catch_up()
                if self.line is not None:
                    await self._work(self.line)
            except (LineUnavailable, TimeoutError) as error:
                self._lost("away", str(error) or f"no answer within {self._pace.deadline:g} s")
            except Exception as error:
                # a driver's bug must not end its supervisor: counted, shown, tried again later
                log.error("line failed", line=self.name, error=repr(error), at=_where(error))
                self._lost("failing", repr(error))
            self._sweep()
            await self._rest()

    def _sweep(self) -> None:
        """What has expired is not pending any longer, whether the line is there or not."""
        self._swept = self._monotonic()
        self._orders.drop_expired(self._clock())
        _PENDING.labels(self.name).set(len(self._orders))

    async def _catch_up(self) -> None:
        """Order what stands and this line has not answered: after its cursor, or all of it if it is new."""
        seq = self._from
        if not seq:
            for block in self._ledger.live(self._clock()):
                self._renew(block)
            self._orders.seen(self._ledger.head.seq)
        while seq and (entries := await self._ledger.since(seq, kinds=_ORDERS)):
            for entry in entries:
                self._order_again(entry)
            seq = entries[-1].seq
        self._caught_up = True

    def _order_again(self, entry: Entry) -> None:
        record = entry.record
        if not isinstance(record, Blocked):
            self._orders.seen(entry.seq)  # a lift: what is enforced and should not be, reconciliation finds
        elif self._ledger.standing(record.block, self._clock()) and not self._known(record.block):
            self.order(entry.seq, record.block, record.policy)
        else:
            self._orders.seen(entry.seq)

    def _known(self, block_id: str) -> bool:
        return block_id in self._orders or block_id in self._enforced

    def _renew(self, block: BlockPolicy) -> None:
        if self.meant(block) and block.id not in self._orders:
            self._orders.add(Order(0, block.id, block, self._monotonic()))

    async def _work(self, line: DefenseLine) -> None:
        if self._monotonic() < self._rest_until:
            return
        self._settle_idle(line)
        for lift in (False, True):
            while orders := self._orders.take(lift, self._monotonic(), self._batch):
                await self._push(line, orders, lift)
                if self._monotonic() < self._rest_until:
                    return
        if self._monotonic() >= self._reconcile_at:
            await self._reconcile(line)

    def _settle_idle(self, line: DefenseLine) -> None:
        """Orders that need no call: expired ones, and kinds that the line cannot enforce."""
        self._orders.drop_expired(self._clock())
        for order in self._orders.take(False, float("inf"), len(self._orders)):
            if order.block and order.block.target.kind not in line.targets:
                self._orders.done(order)
                detail = f"cannot: the {self.name} line does not enforce {order.block.target.kind} targets"
                if order.block_id not in self._refused:
                    self._receive(order, self._own_receipt(order, "refused", detail))

    async def _push(self, line: DefenseLine, orders: Sequence[Order], lift: bool) -> None:
        head, started = str(self._ledger.head), self._monotonic()
        try:
            async with asyncio.timeout(self._pace.deadline):
                if lift:
                    receipts = await line.revoke([order.block_id for order in orders], head)
                else:
                    receipts = await line.apply([order.block for order in orders if order.block], head)
        except LineUnavailable:
            raise
        except TimeoutError:
            self._batch = max(1, len(orders) // 2)  # too much at once, perhaps
            raise
        except Exception as error:
            log.error("line failed", line=self.name, orders=len(orders), error=repr(error), at=_where(error))
            self._fail_batch(orders, repr(error))
            return
        if self._monotonic() - started < self._pace.deadline / 4:
            self._batch = min(self._pace.batch, self._batch * 2)
        self._settle(orders, receipts, _REVOKED if lift else _APPLIED)

    def _fail_batch(self, orders: Sequence[Order], error: str) -> None:
        """The driver broke: perhaps one order breaks it, so that smaller batches find it and let the others pass."""
        self._last_error, self._state = error, "failing"
        if len(orders) == 1:
            self._fail(orders[0], error)
            return
        self._batch = max(1, len(orders) // 2)
        self._failures += 1
        self._rest_until = self._monotonic() + self._pace.shortest

    def _settle(self, orders: Sequence[Order], receipts: Sequence[Receipt], fitting: frozenset[Outcome]) -> None:
        answers = {receipt.block: receipt for receipt in receipts if receipt.outcome in fitting}
        asked = {order.block_id for order in orders}
        if strange := sum(receipt.block not in asked or receipt.outcome not in fitting for receipt in receipts):
            _STRANGE.labels(self.name).inc(strange)
        now = self._monotonic()
        self._contact([now - order.since for order in orders if order.seq and order.block_id in answers])
        for order in orders:
            receipt = answers.get(order.block_id)
            if receipt is None:
                self._fail(order, "the line did not answer this order")
            elif receipt.outcome == "failed":
                self._fail(order, receipt.detail)
            else:
                self._orders.done(order)
                self._receive(order, receipt)

    def _contact(self, delays: Sequence[float]) -> None:
        self._state, self._failures, self._last_contact = "up", 0, self._clock()
        self._delays.add(delays)
        for delay in delays:
            _DELAY.labels(self.name).observe(delay)
        _UP.labels(self.name).set(1)

    def _receive(self, order: Order, receipt: Receipt) -> None:
        (self._enforced.add if receipt.outcome == "enforced" else self._enforced.discard)(order.block_id)
        (self._refused.add if receipt.outcome == "refused" else self._refused.discard)(order.block_id)
        self._failed.discard(order.block_id)
        kept = msgspec.structs.replace(receipt, line=self.name, detail=receipt.detail[:_DETAIL])
        self._count(kept)
        self._desk.answered(kept, recorded=True)

    def _fail(self, order: Order, detail: str) -> None:
        """Tried again after a pause of its own. Only the first failure in a row goes into the history."""
        order.failures += 1
        order.due = self._monotonic() + self._pace.pause(order.failures)
        self._last_error = detail
        receipt = self._own_receipt(order, "failed", detail)
        self._count(receipt)
        self._desk.answered(receipt, recorded=order.block_id not in self._failed)
        self._failed.add(order.block_id)

    def _own_receipt(self, order: Order, outcome: Outcome, detail: str) -> Receipt:
        return Receipt(
            block=order.block_id,
            line=self.name,
            outcome=outcome,
            time=self._clock(),
            ms=0.0,
            detail=detail[:_DETAIL],
        )

    def _count(self, receipt: Receipt) -> None:
        _RECEIPTS.labels(self.name, receipt.outcome).inc()

    def _lost(self, state: State, error: str) -> None:
        if self._state != state:
            log.warning("line lost", line=self.name, state=state, error=error, pending=len(self._orders))
        self._state, self._last_error = state, error
        self._failures += 1
        self._rest_until = self._monotonic() + self._pace.pause(self._failures)
        self._reconcile_at = 0.0  # it may have lost what it had
        _UP.labels(self.name).set(0)

    async def _reconcile(self, line: DefenseLine) -> None:
        async with asyncio.timeout(self._pace.listing):
            active = frozenset(await line.active())
        self._contact([])
        self._reconcile_at = self._monotonic() + self._pace.reconcile
        now = self._clock()
        live = {block.id for block in self._ledger.live(now) if self.meant(block) and block.target.kind in line.targets}
        self._refused &= live
        self._failed = {block_id for block_id in self._failed if block_id in self._orders}
        self._enforced = live.intersection(active)
        self._repair_missing(live - active - self._refused)
        await self._repair_extra(active - live - frozenset(self._desk.unwritten()))

    def _repair_missing(self, ids: set[str]) -> None:
        missing = [block for block in self._ledger.live(self._clock()) if block.id in ids]
        for block in missing:
            if block.id not in self._orders:
                self._drift("missing")
                self._renew(block)

    async def _repair_extra(self, ids: frozenset[str]) -> None:
        foreign = []
        for block_id in sorted(ids):
            block = await self._ledger.block(block_id)
            if block is None:
                foreign.append(block_id)
                _DRIFT.labels(self.name, "foreign").inc()
            elif block_id not in self._orders and self._over(block):
                self._drift("left over")
                self._orders.add(Order(0, block_id, None, self._monotonic()))
        if foreign and tuple(foreign[:100]) != self._foreign:
            log.warning("line enforces what no ledger of ours knows", line=self.name, count=len(foreign))
        self._foreign = tuple(foreign[:100])

    def _over(self, block: BlockPolicy) -> bool:
        """Neither live nor so recently expired that the line is about to end it by itself."""
        now = self._clock()
        if self._ledger.standing(block.id, now):
            return not self.meant(block)
        return not now - _GRACE < block.expires <= now

    def _drift(self, what: str) -> None:
        self._drifted += 1
        _DRIFT.labels(self.name, what).inc()

    async def _rest(self) -> None:
        """Sleep until something is due. New orders do not shorten the pause after a failure; a reconnection does."""
        while True:
            now = self._monotonic()
            until = self._next()
            if until <= now:
                await asyncio.sleep(0)
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(until - now):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _next(self) -> float:
        if self.line is None:
            return self._swept + self._pace.reconcile
        due = self._orders.next_due()
        work = self._reconcile_at if due is None else min(due, self._reconcile_at)
        return max(work, self._rest_until)


def _where(error: Exception) -> str:
    # one frame, not a traceback with a thousand blocks in it: rendering that would hold up the loop
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno} {frame.name}"
