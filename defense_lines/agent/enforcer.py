"""The enforcer carries out what an agent is told: it checks an order, writes it down, has the firewall do it and
answers.

It reads the gateway's clock off the messages and counts on by the time since this host's boot, so that a block ends
when the gateway means it, whatever this host's own clock says. After a boot it must trust that clock once: for how long
the host was away, until the gateway is there again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from defense_lines.agent.actuation import Firewall, Listing, Until, since_boot
from defense_lines.agent.book import LATEST, Book
from defense_lines.agent.journal import Journal, Told
from defense_lines.agent.orders import InvalidOrder
from defense_lines.agent.prefix import Prefix, address, packed
from defense_lines.agent.protocol import (
    ENCODER,
    ORDER,
    Answer,
    Audit,
    Enforced,
    Hello,
    InStep,
    Orders,
    OutOfSequence,
    Receipts,
    Unable,
    Welcome,
    WireOrder,
)
from defense_lines.line import Digest, Note
from policy import TargetKind

TARGETS: Final[tuple[TargetKind, ...]] = ("address", "range")
_DRIFT: Final = 1e-4  # by which a clock may run faster than another
_STEP: Final = 10.0  # seconds; no message is longer on its way
_APART: Final = 0.5  # seconds by which a prefix may end too early or late in the firewall
_SMALL: Final = 1 << 20  # bytes of a journal that is never compacted
_RECORD: Final = 100  # bytes of one order in a journal, about
_DEAD: Final = 3  # a journal this many times as large as what is live in it is compacted
_CHUNK: Final = 1_000  # orders in one record of a compacted journal

_SHOWN: Final = 64  # characters of an id that is none

_Touched = tuple[Prefix, str]  # and the order that is about it

_log = structlog.get_logger()
_batches = Counter("portcullis_defense_lines_agent_batches_total", "Batches carried out")
_orders = Counter("portcullis_defense_lines_agent_orders_told_total", "Orders in them")
_noted = Counter("portcullis_defense_lines_agent_notes_total", "Orders that were not just carried out", ["outcome"])
_sequence = Counter("portcullis_defense_lines_agent_out_of_sequence_total", "Batches that do not follow on the last")
_unwritten = Counter("portcullis_defense_lines_agent_unwritten_total", "Batches that the disk did not take")
_repaired = Counter("portcullis_defense_lines_agent_repaired_total", "Prefixes that the firewall held wrongly")
_seconds = Histogram("portcullis_defense_lines_agent_batch_seconds", "One batch, from told to answered")


class Malformed(ValueError):
    """A message that no gateway sends; the message says why."""


class OtherLedger(Exception):
    """The gateway has another ledger than the one that this agent follows."""


class Enforcer:
    """One line's book, journal and firewall, together. Not for two threads at once."""

    def __init__(
        self,
        journal: Journal,
        told: Sequence[Told],
        firewall: Firewall,
        clock: Callable[[], float] = time.time,
        boottime: Callable[[], float] = since_boot,
    ) -> None:
        """`told` is what stands in the journal. `clock` gives Unix seconds, `boottime` seconds since the boot."""
        self.book = Book()
        self.journal = journal
        self.firewall = firewall
        self.clock = clock
        self.boottime = boottime
        self._seen = boottime()  # when the gateway last told its time
        self._offset = clock() - self._seen  # the gateway's clock less `boottime`
        self._touched: set[Prefix] = set()  # since the last listing began
        self._in_step = False  # whether everything that should stand is in the book
        self._repairs = 0  # since the gateway was last told
        for each in told:
            self._recall(each)

    def start(self) -> None:
        """Have the firewall hold what the book does. Raises NftError, CapabilityError."""
        self.firewall.start()
        self.check(self.firewall.listing())

    def now(self) -> float:
        """Unix seconds by the gateway's clock."""
        return self.boottime() + self._offset

    def welcome(self, welcome: Welcome, instead: str = "") -> Hello:
        """The gateway is there. Raises OtherLedger, unless the other is the one to follow `instead`; OSError."""
        if not 0 < welcome.time < LATEST:
            raise Malformed(f"time {welcome.time!r}")
        if welcome.ledger != self.journal.ledger:
            self._follow(welcome.ledger, instead)
        elif self.book.cursor > welcome.last:
            _log.error("the ledger went back: told again", told=self.book.cursor, last=welcome.last)
            self._begin_anew(welcome.ledger)
        self._seen = self.boottime()
        self._offset = welcome.time - self._seen
        return Hello(TARGETS, None, self.book.cursor, self.clock())

    def carry_out(self, orders: Orders, message: bytes) -> Answer:
        """Check, write down, do, answer. `message` is the one that the orders came in. Raises Malformed."""
        began = time.perf_counter()
        _refuse_malformed(orders)
        if orders.after is not None and orders.after != self.book.cursor:
            _sequence.inc()
            return OutOfSequence(self.book.cursor)
        now = self.boottime()
        try:
            self.journal.append(message, now, self.clock())
        except OSError as error:
            _unwritten.inc()
            return Unable(f"journal: {error.strerror or error}")
        self._see(orders.time, now)
        notes, touched = self._take(orders)
        notes += self._do(touched)
        took = time.perf_counter() - began
        _count(orders, notes, took)
        return Receipts(self.clock(), took * 1000, orders.head, tuple(notes))

    def listing_begins(self) -> None:
        """A listing is being made: what changes meanwhile is not compared with it."""
        self._touched.clear()

    def check(self, listing: Listing) -> frozenset[Prefix]:
        """Repair what the firewall holds wrongly; the prefixes that still are.

        Until the gateway has told everything and asks, what is left over stays: a lost journal lifts no block.
        """
        self.book.expire(self.now())
        changes = self._differences(listing)
        missing = {prefix: until for prefix, until in changes.items() if prefix not in listing.ends}
        wrong = {prefix: until for prefix, until in changes.items() if prefix in listing.ends}
        failed = {**self.firewall.change(missing, fresh=True), **self.firewall.change(wrong)}
        if changes:
            self._repairs += len(changes)
            _repaired.inc(len(changes))
            _log.warning("firewall repaired", prefixes=len(changes), failed=len(failed), foreign=listing.foreign)
        return frozenset(failed)

    def audit(self, audit: Audit, listing: Listing) -> Answer:
        """Answer for what is enforced, once repaired."""
        self._in_step = True  # who asks has told everything
        wrong = self.check(listing)
        repaired, self._repairs = self._repairs, 0
        self.book.expire(max(self.now(), audit.time))
        if not wrong and self.book.digest() == Digest(audit.count, audit.sum):
            return InStep(repaired, listing.foreign)
        blocks = tuple(found for found, order in self.book if order.prefix not in wrong)
        return Enforced(blocks, repaired, listing.foreign)

    def compact(self) -> None:
        """Rewrite the journal, if most of it is dead. Raises OSError."""
        if self.journal.size > max(_SMALL, _DEAD * _RECORD * len(self.book)):
            self.book.expire(self.now())
            self._rewrite(self.journal.ledger)

    def close(self) -> None:
        """Free what is held."""
        self.firewall.close()
        self.journal.close()

    def _see(self, time: float, now: float) -> None:
        """The gateway said what time it is. What says an earlier time than we count was longer on its way: only by as
        much as clocks drift apart, or by a step of its clock, are we ahead.
        """
        ahead, drifted = time - now, _DRIFT * (now - self._seen)
        self._seen = now
        self._offset = ahead if self._offset - ahead > _STEP else max(ahead, self._offset - drifted)

    def _recall(self, told: Told) -> None:
        orders = ORDER.decode(told.message)
        if isinstance(orders, Orders):
            self._offset = orders.time - told.boottime if told.boottime is not None else self._away(orders.time, told)
            self._take(orders)

    def _away(self, then: float, told: Told) -> float:
        """The offset after a boot: the host's clock says how long it was away, and that is not less than nothing."""
        return then + max(0.0, self.clock() - told.wall) - self.boottime()

    def _follow(self, ledger: str, instead: str) -> None:
        if self.journal.ledger and ledger != instead:
            raise OtherLedger(f"follows ledger {self.journal.ledger}, and this gateway has {ledger}")
        self._begin_anew(ledger)

    def _begin_anew(self, ledger: str) -> None:
        """The firewall keeps what it has until the gateway has told everything and asks."""
        self.book, self._in_step = Book(), False
        self._rewrite(ledger)

    def _rewrite(self, ledger: str) -> None:
        now, boottime = self.now(), self.boottime()
        standing = [WireOrder(0, found, _target(order.prefix), order.expires) for found, order in self.book]
        chunks = [tuple(standing[start : start + _CHUNK]) for start in range(0, len(standing), _CHUNK)]
        messages = [ENCODER.encode(Orders(None, 0, "", now, chunk)) for chunk in chunks]
        messages.append(ENCODER.encode(Orders(0, self.book.cursor, "", now, ())))
        self.journal.rewrite(ledger, messages, boottime, self.clock())

    def _take(self, orders: Orders) -> tuple[list[Note], list[_Touched]]:
        """Into the book; what there is to note, and the prefixes that it is about."""
        now, notes, touched = self.now(), list[Note](), list[_Touched]()
        self.book.expire(now)
        for order in orders.orders:
            if order.target is not None and order.expires > now:
                self._put(order, order.target, notes, touched)
                continue
            if (prefix := self.book.strike(order.id)) is not None:
                touched.append((prefix, order.id))
            if order.target is not None:
                notes.append(Note(order.id, "expired"))
        if orders.after is not None:
            self.book.cursor = orders.upto
        return notes, touched

    def _put(self, order: WireOrder, target: str, notes: list[Note], touched: list[_Touched]) -> None:
        try:
            prefix = packed(target)
            before = self.book.put(order.id, prefix, order.expires)
        except InvalidOrder as error:
            notes.append(Note(order.id[:_SHOWN], "refused", str(error)))
            return
        touched.append((prefix, order.id))
        if before is not None:
            touched.append((before, order.id))

    def _do(self, touched: Sequence[_Touched]) -> list[Note]:
        """Have the firewall hold what the book says of these prefixes; the orders for which it does not."""
        if not touched:
            return []
        changes = {prefix: self._until(prefix) for prefix, _ in touched}
        self._touched.update(changes)
        failed = self.firewall.change(changes)
        return (
            [Note(order, "failed", failed[prefix]) for prefix, order in touched if prefix in failed] if failed else []
        )

    def _until(self, prefix: Prefix) -> Until | None:
        blocked = self.book.blocked(prefix)
        return Until(blocked[0], blocked[1] - self._offset) if blocked else None

    def _differences(self, listing: Listing) -> dict[Prefix, Until | None]:
        changes: dict[Prefix, Until | None] = {}
        for prefix, block_id, expires in self.book.prefixes():
            end = listing.ends.get(prefix)
            if end is None or not -_APART < end - (expires - self._offset) < _APART:
                changes[prefix] = Until(block_id, expires - self._offset)
        if self._in_step:
            changes |= {prefix: None for prefix in listing.ends if self.book.blocked(prefix) is None}
        return {prefix: until for prefix, until in changes.items() if prefix not in self._touched}


def _refuse_malformed(orders: Orders) -> None:
    if not 0 < orders.time < LATEST:
        raise Malformed(f"time {orders.time!r}")
    last = orders.after
    if last is None:
        return
    for order in orders.orders:
        if not last < order.seq <= orders.upto:
            raise Malformed(f"order {order.seq} after {last}, up to {orders.upto}")
        last = order.seq
    if orders.upto < last:
        raise Malformed(f"up to {orders.upto} after {last}")


def _count(orders: Orders, notes: Sequence[Note], seconds: float) -> None:
    _batches.inc()
    _orders.inc(len(orders.orders))
    _seconds.observe(seconds)
    for note in notes:
        _noted.labels(note.outcome).inc()


def _target(prefix: Prefix) -> str:
    return f"{address(prefix)}/{prefix[-1]}"
