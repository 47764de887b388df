"""The enforcer carries out what an agent is told: it checks an order, writes it down, has the firewall do it and
answers.

It reads the gateway's clock off the messages and counts on by the time since this host's boot, so that a block ends
when the gateway means it, whatever this host's own clock says. After a boot it must trust that clock once: for how long
the host was away, until the gateway is there again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter, Histogram

from defense_lines.agent.actuation import Firewall, Listing, Until, since_boot
from defense_lines.agent.book import LATEST, Book
from defense_lines.agent.gateway_clock import GatewayClock
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


class Asked(NamedTuple):
    """What was found as an audit came."""

    book: Book  # that it was asked of
    in_step: bool  # whether what should stand was in it


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
        self.gateway_clock = GatewayClock(clock() - boottime(), boottime())
        self._heard = False  # whether the gateway told its time since this process began
        self._touched: set[Prefix] | None = None  # since a listing began, while one is made
        self._left: dict[str, Prefix] = {}  # by order: what the firewall may hold against it, as a change failed
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
        return self.boottime() + self.gateway_clock.offset

    def welcome(self, welcome: Welcome, instead: str = "") -> Hello:
        """The gateway is there. Raises OtherLedger, unless the other is the one to follow `instead`; OSError."""
        _refuse_no_time(welcome.time)
        if welcome.ledger != self.journal.ledger:
            self._follow(welcome.ledger, instead)
        elif self.book.cursor > welcome.last:
            _log.error("the ledger went back: told again", told=self.book.cursor, last=welcome.last)
            self._begin_anew(welcome.ledger)
        if self._heard:
            self.gateway_clock.see(welcome.time, self.boottime())
        else:
            self.gateway_clock.set(welcome.time, self.boottime())
        self._heard = True
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
        self.gateway_clock.see(orders.time, now)
        notes, touched = self._take(orders)
        notes += self._do(touched)
        took = time.perf_counter() - began
        _count(orders, notes, took)
        return Receipts(self.clock(), took * 1000, orders.head, tuple(notes))

    def listing_begins(self) -> None:
        """A listing is being made: what changes meanwhile is not compared with it."""
        self._touched = set()

    def check(self, listing: Listing) -> frozenset[Prefix]:
        """Repair what the firewall holds wrongly; the prefixes that still are.

        Until the gateway has told everything and asks, what is left over stays: a lost journal lifts no block.
        """
        self.book.expire(self.now())
        changes = self._differences(listing)
        missing = {prefix: until for prefix, until in changes.items() if prefix not in listing.ends}
        wrong = {prefix: until for prefix, until in changes.items() if prefix in listing.ends}
        failed = {**self.firewall.change(missing, fresh=True), **self.firewall.change(wrong)}
        if self._left:
            held = listing.ends.keys() - changes.keys()
            self._left = {found: prefix for found, prefix in self._left.items() if self._is_left(prefix, failed, held)}
        self._touched = None
        if changes:
            self._repairs += len(changes) - len(failed)
            _repaired.inc(len(changes) - len(failed))
            _log.warning("firewall repaired", prefixes=len(changes), failed=len(failed), foreign=listing.foreign)
        return frozenset(failed)

    def asked(self, audit: Audit, now: float) -> Asked:
        """Whether what should stand is what is in the book, as of the question, which came at `now` (seconds since the
        boot): a listing may take long, and what ends meanwhile makes no difference. Raises Malformed.
        """
        _refuse_no_time(audit.time)
        self.gateway_clock.see(audit.time, now)
        self.book.expire(audit.time)
        return Asked(self.book, self.book.digest() == Digest(audit.count, audit.sum))

    def audit(self, asked: Asked, listing: Listing) -> Answer | None:
        """Answer for what is enforced, once repaired; `asked` is what was found when it was asked. None where the agent
        began anew since: who asked then is gone, and had told another book everything.
        """
        if asked.book is not self.book:
            self.check(listing)
            return None
        self._in_step = True  # who asks has told everything
        wrong = self.check(listing)
        repaired, self._repairs = self._repairs, 0
        if asked.in_step and not wrong:
            return InStep(repaired, listing.foreign)
        blocks = [found for found, order in self.book if order.prefix not in wrong]
        blocks += (found for found, prefix in self._left.items() if prefix in wrong and not self.book.blocked(prefix))
        return Enforced(tuple(blocks), repaired, listing.foreign)

    def compact(self) -> None:
        """Rewrite the journal, if most of it is dead. Raises OSError."""
        if self.journal.size > max(_SMALL, _DEAD * _RECORD * (len(self.book) + 2 * len(self._left))):
            self.book.expire(self.now())
            self._rewrite(self.journal.ledger)

    def close(self) -> None:
        """Free what is held."""
        self.firewall.close()
        self.journal.close()

    def _recall(self, told: Told) -> None:
        orders = ORDER.decode(told.message)
        if isinstance(orders, Orders):
            boottime = told.boottime
            self.gateway_clock.offset = self._away(orders.time, told) if boottime is None else orders.time - boottime
            _, touched = self._take(orders)
            self._left |= {found: prefix for prefix, found in touched}  # it may have failed: a listing will tell

    def _away(self, then: float, told: Told) -> float:
        """The offset after a boot: the host's clock says how long it was away, and that is not less than nothing."""
        return then + max(0.0, self.clock() - told.wall) - self.boottime()

    def _follow(self, ledger: str, instead: str) -> None:
        if self.journal.ledger and ledger != instead:
            raise OtherLedger(f"follows ledger {self.journal.ledger}, and this gateway has {ledger}")
        self._begin_anew(ledger)

    def _begin_anew(self, ledger: str) -> None:
        """The firewall keeps what it has until the gateway has told everything and asks."""
        self._left |= {found: order.prefix for found, order in self.book}
        self.book, self._in_step, self._heard = Book(), False, False
        self._rewrite(ledger)

    def _rewrite(self, ledger: str) -> None:
        """What the firewall may hold against the book is written as what it was: told, and lifted."""
        now, boottime = self.now(), self.boottime()
        orders = [each for found, prefix in self._left.items() for each in _lifted(found, prefix)]
        orders += (WireOrder(0, found, _target(order.prefix), order.expires) for found, order in self.book)
        chunks = [tuple(orders[start : start + _CHUNK]) for start in range(0, len(orders), _CHUNK)]
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
            touched += self._no_longer(order.id, self.book.strike(order.id))
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
        if before is not None or self._left:
            touched += (other for other in self._no_longer(order.id, before) if other[0] != prefix)

    def _no_longer(self, block_id: str, prefix: Prefix | None) -> set[_Touched]:
        """What an order no longer blocks: in the book until now, or in the firewall still."""
        return {(each, block_id) for each in (prefix, self._left.pop(block_id, None)) if each is not None}

    def _do(self, touched: Sequence[_Touched]) -> list[Note]:
        """Have the firewall hold what the book says of these prefixes; the orders for which it does not."""
        if not touched:
            return []
        changes = {prefix: self._until(prefix) for prefix, _ in touched}
        if self._touched is not None:
            self._touched.update(changes)
        failed = self.firewall.change(changes)
        if not failed:
            return []
        self._left |= {order: prefix for prefix, order in touched if prefix in failed}
        return [Note(order, "failed", failed[prefix]) for prefix, order in touched if prefix in failed]

    def _is_left(self, prefix: Prefix, failed: Collection[Prefix], held: Collection[Prefix]) -> bool:
        """After a check at which some changes failed, and which changed nothing of what else is held."""
        touched = self._touched or ()
        return prefix in failed or prefix in touched or (prefix in held and self.book.blocked(prefix) is None)

    def _until(self, prefix: Prefix) -> Until | None:
        blocked = self.book.blocked(prefix)
        return Until(blocked[0], blocked[1] - self.gateway_clock.offset) if blocked else None

    def _differences(self, listing: Listing) -> dict[Prefix, Until | None]:
        wrong = set(self.book.misplaced(listing.ends, self.gateway_clock.offset, _APART))
        if self._in_step:
            wrong |= self.book.unblocked(listing.ends)
        return {prefix: self._until(prefix) for prefix in wrong.difference(self._touched or ())}


def _refuse_malformed(orders: Orders) -> None:
    _refuse_no_time(orders.time)
    last = orders.after
    if last is None:
        return
    for order in orders.orders:
        if not last < order.seq <= orders.upto:
            raise Malformed(f"order {order.seq} after {last}, up to {orders.upto}")
        last = order.seq
    if orders.upto < last:
        raise Malformed(f"up to {orders.upto} after {last}")


def _refuse_no_time(time: float) -> None:
    if not 0 < time < LATEST:
        raise Malformed(f"time {time!r}")


def _count(orders: Orders, notes: Sequence[Note], seconds: float) -> None:
    _batches.inc()
    _orders.inc(len(orders.orders))
    _seconds.observe(seconds)
    for note in notes:
        _noted.labels(note.outcome).inc()


def _lifted(block_id: str, prefix: Prefix) -> tuple[WireOrder, WireOrder]:
    return WireOrder(0, block_id, _target(prefix), LATEST - 1), WireOrder(0, block_id)


def _target(prefix: Prefix) -> str:
    return f"{address(prefix)}/{prefix[-1]}"
