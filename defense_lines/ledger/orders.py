"""What lines have to be told, in the ledger's order: what lives, and lifts of what would live otherwise."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple, get_args

from defense_lines.ledger.sums import Sums
from defense_lines.line import Digest, Order
from policy import BlockPolicy, TargetKind

_KEEP = 3600.0  # seconds past its end that an order is kept, should the clock be set back
_SLACK = 1024  # places of orders that are gone, beyond as many as there are left


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
    """An order in the history."""

    order: Order
    block: BlockPolicy  # of a lift, the block that it ended
    began: int  # seq of the block


class StandingOrders:
    """Folds blocks and lifts, in order. Whoever was told everything up to one place needs only what stands after it."""

    def __init__(self) -> None:
        self.last = 0  # seq of the newest order
        self._seqs: list[int] = []  # ascending; those of orders that are gone among them
        self._at: dict[int, Place] = {}  # by seq
        self._blocks: dict[str, Place] = {}  # those not lifted, by id
        self._lifts: dict[str, int] = {}  # seqs of lifts, by the block's id
        self._ends: list[tuple[float, int]] = []  # heap: when, seq
        self._sums = Sums(self._blocks.__contains__)

    def enforce(self, seq: int, block: BlockPolicy, now: float) -> None:
        """A block was ordered."""
        place = Place(Order(seq, block.id, block), block, seq)
        self._blocks[block.id] = place
        self._put(place, now)
        self._sums.add(block)

    def lift(self, seq: int, block_id: str, now: float) -> None:
        """A block was lifted; one that does not stand needs no order."""
        lifted = self._blocks.pop(block_id, None)
        if lifted is not None:
            self._at.pop(lifted.began, None)
            self._sums.remove(lifted.block)
            self._lifts[block_id] = seq
            self._put(Place(Order(seq, block_id, None), lifted.block, lifted.began), now)

    def block(self, block_id: str, now: float) -> BlockPolicy | None:
        """A live block."""
        place = self._blocks.get(block_id)
        return place.block if place and place.block.expires > now else None

    def live(self, now: float) -> Iterator[tuple[int, BlockPolicy]]:
        """Blocks neither lifted nor expired, each with its seq, in order."""
        return ((place.began, place.block) for place in self._blocks.values() if place.block.expires > now)

    def current(self, now: float, renew: Callable[[BlockPolicy], BlockPolicy]) -> StandingOrders:
        """Only what has not expired, each live block renewed; nothing of it is shared."""
        other = StandingOrders()
        for seq, place in sorted(self._at.items()):
            if place.block.expires > now and place.order.block:
                other.enforce(seq, renew(place.block), now)
            elif place.block.expires > now:
                other._lifts[place.order.id] = seq
                other._put(place, now)
        other.last = self.last
        return other

    def since(self, after: int, whom: Whom, now: float, limit: int) -> Told:
        """At most `limit` orders for a line that was told everything up to a place."""
        found: list[Order] = []
        shared = True
        for place in self._after(after):
            if place.block.expires <= now:
                continue
            if len(found) == limit:
                return Told(tuple(found), found[-1].seq, shared)
            shared = shared and not place.block.lines
            if whom.concerns(place.block):
                found.append(place.order)
        return Told(tuple(found), self.last, shared)

    def behind(self, after: int, whom: Whom, now: float) -> int:
        """How many orders a line has still to be told that was told everything up to a place."""
        return sum(place.block.expires > now and whom.concerns(place.block) for place in self._after(after))

    def place(self, block_id: str) -> Place | None:
        """The latest order about a block, as long as it is not forgotten."""
        return self._blocks.get(block_id) or self._at.get(self._lifts.get(block_id, 0))

    def digest(self, upto: int, whom: Whom, time: float) -> Digest:
        """Of what a line should hold that was told everything up to a place, as far as it outlives `time`."""
        blocks = (place.block for place in self._blocks.values())
        digest = self._sums.digest(whom.name, whom.targets, time, blocks)
        for place in self._after(upto):
            if place.block.expires <= time or not whom.concerns(place.block):
                continue
            if place.order.block:
                digest = digest.minus(place.order.id)
            elif place.began <= upto:
                digest = digest.plus(place.order.id)
        return digest

    def held(self, upto: int, whom: Whom, time: float) -> set[str]:
        """The ids of the same."""
        places = (place for place in (*self._blocks.values(), *self._lifts_after(upto)) if place.began <= upto)
        return {place.order.id for place in places if place.block.expires > time and whom.concerns(place.block)}

    def _lifts_after(self, after: int) -> Iterator[Place]:
        return (place for place in self._after(after) if place.order.block is None)

    def _after(self, after: int) -> Iterator[Place]:
        for number in range(bisect_right(self._seqs, after), len(self._seqs)):
            if place := self._at.get(self._seqs[number]):
                yield place

    def _put(self, place: Place, now: float) -> None:
        seq = self.last = place.order.seq
        self._seqs.append(seq)
        self._at[seq] = place
        heapq.heappush(self._ends, (place.block.expires, seq))
        self._forget(now - _KEEP)

    def _forget(self, time: float) -> None:
        while self._ends and self._ends[0][0] <= time:
            _, seq = heapq.heappop(self._ends)
            place = self._at.pop(seq, None)
            if place:
                (self._blocks if place.order.block else self._lifts).pop(place.order.id, None)
        if len(self._seqs) > 2 * len(self._at) + _SLACK:
            self._seqs = [seq for seq in self._seqs if seq in self._at]
