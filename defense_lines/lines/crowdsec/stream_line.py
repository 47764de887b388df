"""A bouncer that polls the stream, as a line."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from prometheus_client import Counter

from defense_lines.line import Capabilities, Digest, LineUnavailable, Note, Orders, Receipts
from defense_lines.line import Order as LineOrder
from defense_lines.lines.crowdsec.addresses import Addresses
from defense_lines.lines.crowdsec.connection import Link
from defense_lines.lines.crowdsec.decision import Changes, Decision, Filters, ban, no_more
from defense_lines.lines.crowdsec.delivery import Change, Delivery, Order
from policy import BlockPolicy, Target, TargetKind

MOST = 1000  # decisions in one answer; the Debian bouncer looks through its whole set once for each 200

Find = Callable[[str], Awaitable[BlockPolicy | None]]

_AGAIN = Counter("portcullis_defense_lines_bouncer_told_again_total", "Changes whose arrival no poll proved", ["line"])
_SUPERSEDED = Counter(
    "portcullis_defense_lines_bouncer_superseded_total", "Polls that another of the same bouncer ended", ["line"]
)


class StreamLine:
    """Satisfies DefenseLine from a bouncer's first poll until `close`. Whatever is ordered about an address or a range,
    the bouncer is told what then stands there, which is why being told twice changes nothing.
    """

    def __init__(
        self,
        name: str,
        targets: frozenset[TargetKind],
        addresses: Addresses,
        find: Find,
        cursor: int = 0,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`find` gives a block that was ever ordered, by its id; `cursor` is what the bouncer is known to have."""
        self.name = name
        self.capabilities = Capabilities(targets=targets, lists=False)
        self.cursor: int | None = cursor
        self._addresses = addresses
        self._find = find
        self._clock = clock
        self._stopwatch = stopwatch
        self._delivery = Delivery()
        self._filters = Filters()
        self._last: Link | None = None  # that carried the last answer
        self._held: Link | None = None  # on which a poll waits for an answer
        self._reuses = False  # whether it has ever polled twice on one connection
        self._changed = asyncio.Event()  # a poll may be due
        self._proved = asyncio.Event()  # an order may be carried out
        self._lost = ""

    async def carry_out(self, orders: Orders) -> Receipts:
        """See DefenseLine. Returns once the bouncer's polls prove that it did all of it. One that is given up is still
        on its way, and what was proved of it meanwhile counts when it is tried again.
        """
        started = self._stopwatch()
        names, notes = await self._tell(orders.orders)
        self._changed.set()
        while not self._delivery.carried_out(names):
            if self._lost:
                raise LineUnavailable(f"{self.name}: {self._lost}")
            self._proved.clear()
            await self._proved.wait()
        if orders.after is not None:
            self.cursor = orders.upto
        self._delivery.settle(0 if orders.after is None else orders.upto, names)
        ms = (self._stopwatch() - started) * 1e3
        return Receipts(time=self._clock(), ms=ms, head=orders.head, notes=notes)

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """Never asked: the protocol has no question what a bouncer enforces."""
        raise LineUnavailable(f"{self.name}: a bouncer cannot list what it enforces")

    def ended(self, targets: Iterable[Target]) -> None:
        """Blocks on these have run their time: a bouncer may keep no time by itself."""
        for target in targets:
            if target.kind in self.capabilities.targets:
                self._delivery.tell(target, Change(clear=True))
        self._changed.set()

    def close(self, why: str) -> None:
        """It is not a line any more; whoever waits gets LineUnavailable."""
        self._lost = why
        self._proved.set()
        self._changed.set()

    @property
    def polling(self) -> bool:
        """Whether a poll waits for its answer."""
        return self._held is not None and self._held.open

    async def poll(self, link: Link, filters: Filters, hold: float) -> Changes | None:
        """The answer to a poll, after at most `hold` seconds; None where the connection ended before."""
        self._arrived(link, filters)
        await self._due(link, hold)
        if self._held is not link:
            return None
        self._held = None
        if not link.open or self._lost:
            return None
        self._last = link
        return self._answer()

    def _arrived(self, link: Link, filters: Filters) -> None:
        if self._held is not None and self._held.open and self._held is not link:
            _SUPERSEDED.labels(self.name).inc()
            self._held.abort()  # the same bouncer elsewhere: that connection is dead and does not know it
        self._reuses = self._reuses or link is self._last
        _AGAIN.labels(self.name).inc(self._delivery.polled(self._received(link)))
        self._held, self._filters, link.on_end = link, filters, self._changed.set
        self._changed.set()
        self._proved.set()

    def _received(self, link: Link) -> bool:
        """Whether the last answer came. Of a bouncer that never uses a connection twice it is taken to have come where
        the connection ended in order.
        """
        ended = self._last is not None and not self._last.open and self._last.in_order
        return link is self._last or (ended and not self._reuses)

    async def _due(self, link: Link, hold: float) -> None:
        try:
            async with asyncio.timeout(hold):
                while self._held is link and link.open and not (self._delivery.due or self._lost):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    def _answer(self) -> Changes:
        new, deleted = list[Decision](), list[Decision]()
        now = self._clock()
        for target, clear in self._delivery.answer(MOST).items():
            standing = self._standing(target, now)
            if clear or not standing:
                deleted.append(no_more(target))
            if standing:
                new.append(ban(max(standing, key=lambda block: block.expires), now))
        return Changes(new=new or None, deleted=deleted or None)

    def _standing(self, target: Target, now: float) -> list[BlockPolicy]:
        blocks = self._addresses.at(ipaddress.ip_network(target.value))
        return [block for block in blocks if block.expires > now and self._hears_of(block)]

    def _hears_of(self, block: BlockPolicy) -> bool:
        return (not block.lines or self.name in block.lines) and self._filters.take(block)

    async def _tell(self, orders: Sequence[LineOrder]) -> tuple[set[Order], tuple[Note, ...]]:
        """Have the bouncer told; by what names its doing so is proved, and what there is to say of the others."""
        names, notes = set[Order](), list[Note]()
        for order in orders:
            block = order.block or self._addresses.block(order.id) or await self._find(order.id)
            if block is None:
                notes.append(Note(order.id, "lifted", "never known"))
            elif order.block and not self._filters.take(block):
                notes.append(Note(order.id, "refused", "the bouncer's own filters leave it out"))
            else:
                names.add(name := Order(order.seq, order.id))
                self._put(name, order, block)
        return names, tuple(notes)

    def _put(self, name: Order, order: LineOrder, block: BlockPolicy) -> None:
        if self._delivery.knows(name):
            return
        if order.block:
            self._addresses.put(block)
        others = any(each.id != block.id for each in self._addresses.at(ipaddress.ip_network(block.target.value)))
        self._delivery.tell(block.target, Change(others or order.block is None, {name}))
