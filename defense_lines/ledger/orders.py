"""What lines have to be told, in the ledger's order: what lives, and lifts of what would live otherwise."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple, get_args

from defense_lines.ledger.sums import Sums
from defense_lines.line import Digest, Order
from policy import BlockPolicy, TargetKind

KEEP = 3600.0  # seconds past its end that something is kept, should the clock be set back
_COUNTED = 1000  # places that are looked at to say how much is left: a millisecond at most
_SWEPT = 2  # places that are looked at for what has ended, each time that one more is taken
_FORGET = 1024  # orders between two looks at the sums for what has ended


class Whom(NamedTuple):
    """A line, as far as it matters to what it is told."""

    name: str
    targets: frozenset[TargetKind]

    def concerns(self, block: BlockPolicy) -> bool:
        """Whether the line is meant by a block and can enforce it."""
        return block.target.kind in self.targets and (not block.lines or self.name in block.lines)


def everything(name: str) -> Whom:
    """A line of which nothing is known but its name: taken to be able to enforce any target."""
    return Whom(name, frozenset(get_args(TargetKind)))


class Told(NamedTuple):
    """What a line is told next."""

    orders: tuple[Order, ...]
    upto: int  # place up to which the line then was told everything
    shared: bool  # whether every line with the same targets is told the same


class Place(NamedTuple):
    """The latest order about a block."""

    order: Order
    block: BlockPolicy


class _Lifted(NamedTuple):
    """The block that a lift ended."""

    block: BlockPolicy
    began: int  # seq of the block


class StandingOrders:
    """Folds blocks and lifts, in order. Whoever was told everything up to one place needs only what stands after it."""

    def __init__(self) -> None:
        self.last = 0  # seq of the newest order
        self._seqs: list[int] = []  # ascending; those of orders that are gone among them
        self._orders: dict[int, Order] = {}  # by seq
        self._lifted: dict[int, _Lifted] = {}  # by seq of the lift
        self._blocks: dict[str, Order] = {}  # those not lifted, by id
        self._lifts: dict[str, int] = {}  # of the others, the seq of the lift, by the block's id
        self._sums = Sums()
        self._swept: list[int] = []  # of the places that were looked at for what has ended: those left
        self._looked = 0  # how many were looked at

    def enforce(self, seq: int, block: BlockPolicy, now: float) -> None:
        """A block was ordered. Raises ValueError for an id that is none: then nothing has changed."""
        self._sums.add(block)
        order = Order(seq, block.id, block)
        self._blocks[block.id] = order
        self._put(order, now)

    def lift(self, seq: int, block_id: str, now: float) -> None:
        """A block was lifted; one that does not stand needs no order."""
        order = self._blocks.pop(block_id, None)
        if order is not None and order.block is not None:
            self._orders.pop(order.seq, None)
            self._sums.remove(order.block)
            self._lifted[seq] = _Lifted(order.block, order.seq)
            self._lifts[block_id] = seq
            self._put(Order(seq, block_id, None), now)

    def skip(self, seq: int) -> None:
        """An order that nobody needs to be told any more."""
        self.last = max(self.last, seq)

    def block(self, block_id: str, now: float) -> BlockPolicy | None:
        """A live block."""
        order = self._blocks.get(block_id)
        return order.block if order and order.block and order.block.expires > now else None

    def live(self, now: float) -> Iterator[BlockPolicy]:
        """Blocks neither lifted nor expired, in order."""
        blocks = (order.block for order in self._blocks.values())
        return (block for block in blocks if block and block.expires > now)

    def page(self, after: int, now: float, limit: int) -> tuple[list[BlockPolicy], int] | None:
        """Of these, those among the next `limit` places; and the last of these places. None where there are none."""
        start = bisect_right(self._seqs, after)
        if not (seqs := self._seqs[start : start + limit]):
            return None
        blocks = (order.block for seq in seqs if (order := self._orders.get(seq)))
        return [block for block in blocks if block and block.expires > now], seqs[-1]

    def seqs(self) -> list[int]:
        """Places of all that this can be folded from again, in no order."""
        found = list(self._orders)
        found += (lifted.began for lifted in self._lifted.values())
        return found

    def since(self, after: int, whom: Whom, now: float, limit: int) -> Told:
        """At most `limit` orders for a line that was told everything up to a place."""
        found: list[Order] = []
        shared = True
        for order, block, _ in self._after(after):
            if block.expires <= now:
                continue
            if len(found) == limit:
                return Told(tuple(found), found[-1].seq, shared)
            shared = shared and not block.lines
            if whom.concerns(block):
                found.append(order)
        return Told(tuple(found), self.last, shared)

    def behind(self, after: int, whom: Whom, now: float) -> int:
        """How many orders a line has still to be told that was told everything up to a place.

        Of more than a thousand places it is at most how many: ended orders and those of others are among them. Then
        nobody waits for them to be looked at.
        """
        places = len(self._seqs) - bisect_right(self._seqs, after)
        if places > _COUNTED:
            return places
        return sum(block.expires > now and whom.concerns(block) for _, block, _ in self._after(after))

    def place(self, block_id: str) -> Place | None:
        """The latest order about a block, as long as it is not forgotten."""
        order = self._blocks.get(block_id) or self._orders.get(self._lifts.get(block_id, 0))
        return Place(order, self._about(order).block) if order else None

    def digest(self, upto: int, whom: Whom, time: float) -> Digest:
        """Of what a line should hold that was told everything up to a place, as far as it outlives `time`."""
        digest = self._sums.digest(whom.name, whom.targets, time)
        for order, block, began in self._after(upto):
            if block.expires <= time or not whom.concerns(block):
                continue
            if order.block:
                digest = digest.minus(order.id)
            elif began <= upto:
                digest = digest.plus(order.id)
        return digest

    def held(self, upto: int, whom: Whom, time: float) -> set[str]:
        """The ids of the same."""
        stand = ((order.id, order.block, order.seq) for order in self._blocks.values())
        lifted = ((order.id, block, began) for order, block, began in self._after(upto) if not order.block)
        return {
            block_id
            for places in (stand, lifted)
            for block_id, block, began in places
            if block and began <= upto and block.expires > time and whom.concerns(block)
        }

    def _after(self, after: int) -> Iterator[tuple[Order, BlockPolicy, int]]:
        """Orders after a place: with the block that they are about, and its place."""
        for number in range(bisect_right(self._seqs, after), len(self._seqs)):
            if order := self._orders.get(self._seqs[number]):
                yield order, *self._about(order)

    def _about(self, order: Order) -> _Lifted:
        return _Lifted(order.block, order.seq) if order.block else self._lifted[order.seq]

    def _put(self, order: Order, now: float) -> None:
        self.last = order.seq
        self._seqs.append(order.seq)
        self._orders[order.seq] = order
        self._sweep(now - KEEP)
        if order.seq % _FORGET == 0:
            self._sums.forget(now - KEEP)

    def _sweep(self, time: float) -> None:
        """Look at a few more places for what has ended: however much ends at once, it is forgotten little by little."""
        for seq in self._seqs[self._looked : self._looked + _SWEPT]:
            order = self._orders.get(seq)
            if order is None:
                continue
            block = order.block or self._lifted[seq].block
            if block.expires <= time:
                self._forget(order)
            else:
                self._swept.append(seq)
        self._looked += _SWEPT
        if self._looked >= len(self._seqs):
            self._seqs, self._swept, self._looked = self._swept, [], 0

    def _forget(self, order: Order) -> None:
        del self._orders[order.seq]
        self._lifted.pop(order.seq, None)
        (self._blocks if order.block else self._lifts).pop(order.id, None)
