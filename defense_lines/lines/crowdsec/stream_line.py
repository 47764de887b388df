"""A bouncer that polls the stream, as a line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
from prometheus_client import Counter

from defense_lines.line import Capabilities, Digest, LineUnavailable, Note, Orders, Receipts
from defense_lines.lines.crowdsec.addresses import Addresses
from defense_lines.lines.crowdsec.answer import PIECE, Answer, pieces
from defense_lines.lines.crowdsec.audience import Audience, Telling
from defense_lines.lines.crowdsec.connection import Link
from defense_lines.lines.crowdsec.decision import Changes, Filters
from defense_lines.lines.crowdsec.delivery import NOTHING, Delivery, Mark
from defense_lines.lines.crowdsec.journal import Change
from policy import TargetKind

_AGAIN = Counter("portcullis_defense_lines_bouncer_told_again_total", "Answers whose arrival no poll proved", ["line"])
_FORGOTTEN = Counter(
    "portcullis_defense_lines_bouncer_forgotten_total", "Changes that were forgotten before a bouncer asked", ["line"]
)
_SUPERSEDED = Counter(
    "portcullis_defense_lines_bouncer_superseded_total", "Polls that another of the same bouncer ended", ["line"]
)


_log = structlog.get_logger()


class StreamLine:
    """Satisfies DefenseLine while it is open, from a bouncer's poll until `close`. Whatever changes about an address or
    a range, the bouncer is told what then stands there, which is why being told twice changes nothing.
    """

    def __init__(
        self,
        name: str,
        targets: frozenset[TargetKind],
        addresses: Addresses,
        place: int,
        serving: Callable[[], bool],
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        """It is told all that stands; and ends, as far as they come after a `place` in the journal. While it is not
        `serving` it is told nothing: what it is to be told waits.
        """
        self.name = name
        self.capabilities = Capabilities(targets=targets, lists=False)
        self.cursor: int | None = 0
        self._addresses = addresses
        self._serving = serving
        self._clock = clock
        self._stopwatch = stopwatch
        self._delivery = Delivery(place)
        self._newest = place  # of the changes that concern it
        self._audience = Audience(name, targets, Filters())
        self._last: Link | None = None  # that carried the last answer, until a poll proves that it came
        self._held: Link | None = None  # on which a poll waits for an answer
        self._reuses = False  # whether it has ever polled twice on one connection
        self._changed = asyncio.Event()  # a poll may be due
        self._proved = asyncio.Event()  # an order may be carried out
        self._lost = ""

    async def carry_out(self, orders: Orders) -> Receipts:
        """See DefenseLine. The bouncer is told without it; this returns once its polls prove that it did all of it, and
        what was proved of a batch that was given up counts when it is tried again.
        """
        started = self._stopwatch()
        notes = tuple(
            Note(order.id, "refused", "the bouncer's own filters leave it out")
            for order in orders.orders
            if order.block and not self._audience.filters.take(order.block)
        )
        refused = {note.block for note in notes}
        await self._enforced(max((order.seq for order in orders.orders if order.id not in refused), default=NOTHING))
        if orders.after is not None:
            self.cursor = orders.upto
        ms = (self._stopwatch() - started) * 1e3
        return Receipts(time=self._clock(), ms=ms, head=orders.head, notes=notes)

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """Never asked: the protocol has no question what a bouncer enforces."""
        raise LineUnavailable(f"{self.name}: a bouncer cannot list what it enforces")

    def changed(self, change: Change) -> None:
        """There is something new in the journal."""
        if self._audience.concerns(change):
            self._newest = self._addresses.journal.last
            self._changed.set()

    def look(self) -> None:
        """Whether it serves may have changed."""
        self._changed.set()

    def open(self) -> None:
        """It is a line, for the first time or again."""
        self._lost = ""

    def close(self, why: str) -> None:
        """It is not a line any more; whoever waits gets LineUnavailable."""
        self._lost = why
        self._proved.set()
        self._changed.set()

    @property
    def polling(self) -> bool:
        """Whether a poll waits for its answer."""
        return self._held is not None and self._held.open

    async def poll(self, link: Link, filters: Filters, hold: float) -> Changes | Answer | None:
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

    async def _enforced(self, seq: int) -> None:
        while self._delivery.enforced.seq < seq:
            if self._lost:
                raise LineUnavailable(f"{self.name}: {self._lost}")
            self._proved.clear()
            await self._proved.wait()

    def _arrived(self, link: Link, filters: Filters) -> None:
        if self._held is not None and self._held.open and self._held is not link:
            _SUPERSEDED.labels(self.name).inc()
            self._held.abort()  # the same bouncer elsewhere: that connection is dead and does not know it
        self._reuses = self._reuses or link is self._last
        _AGAIN.labels(self.name).inc(self._delivery.polled(self._received(link)))
        self._last = None
        self._audience = replace(self._audience, filters=filters)
        self._held, link.on_end = link, self._changed.set
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
                while self._held is link and link.open and not (self._is_due() or self._lost):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    def _is_due(self) -> bool:
        return self._delivery.due(self._newest) if self._serving() else self._delivery.proving

    def _answer(self) -> Changes | Answer:
        if not self._serving():
            self._delivery.nothing()
            return Changes(new=None, deleted=None)
        journal, taken = self._addresses.journal, self._delivery.taken
        forgotten = max(0, journal.forgotten - taken.place)
        if forgotten:
            _FORGOTTEN.labels(self.name).inc(forgotten)
            _log.warning("a bouncer may go on blocking what has ended", line=self.name, forgotten=forgotten)
        changes, whole = journal.since(taken.place), taken.seq == NOTHING or forgotten > 0
        standing = self._addresses.known() if whole else []
        telling = Telling(self._audience, self._addresses, self._clock)
        new = pieces(standing, telling.standing) if whole else pieces(changes, telling.new)
        answer = Answer(pieces(changes, telling.deleted), new)
        long = len(changes) + len(standing) > PIECE
        told = answer if long else answer.at_once()
        said = long or whole or told != Changes(new=None, deleted=None)
        self._delivery.answer(Mark(journal.last, self._addresses.seq, said))
        return told
