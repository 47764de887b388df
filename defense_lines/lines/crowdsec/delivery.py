"""A delivery is what one bouncer has still to be told, and what its polls prove of what it was told.

The stream has no acknowledgement. But a bouncer (CrowdSec's Go library, to its latest version) reads a whole answer,
hands it to the part of it that enforces, and only then polls again; and that part takes an answer when it is through
with the one before. So a poll that comes on the connection which carried an answer proves that this answer has come,
and that the one before it is enforced. An answer of which a poll proves nothing is given again. After an answer that
said something the next poll is answered at once, if with nothing, for the poll after that proves what we want to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from policy import Target


class Order(NamedTuple):
    """Names one order."""

    seq: int
    block: str  # id


@dataclass(slots=True)
class Change:
    """Something about a target has changed."""

    clear: bool = False  # have the bouncer take away what it has before it adds: it keeps the time of what it has
    orders: set[Order] = field(default_factory=set)  # that are carried out with it

    def merge(self, other: Change) -> None:
        """Both at once."""
        self.clear = self.clear or other.clear
        self.orders |= other.orders


_Changes = dict[Target, Change]


class Delivery:
    """Pure: it is told of polls and asked for answers, in turn."""

    def __init__(self) -> None:
        self._waiting: _Changes = {}  # to be told, the oldest first
        self._answered: _Changes = {}  # in the last answer
        self._taken: _Changes = {}  # the bouncer has it, and may be at it still
        self._known: set[Order] = set()  # all that was told us and not settled
        self._carried_out: set[Order] = set()  # of these

    @property
    def due(self) -> bool:
        """Whether a poll is to be answered now."""
        return bool(self._waiting or self._taken)

    def tell(self, target: Target, change: Change) -> None:
        """The bouncer has to hear of this."""
        self._known |= change.orders
        if earlier := self._waiting.get(target):
            earlier.merge(change)
        else:
            self._waiting[target] = change

    def knows(self, order: Order) -> bool:
        """Whether this was told, and not settled since."""
        return order in self._known

    def carried_out(self, orders: Iterable[Order]) -> bool:
        """Whether it is proved that the bouncer did all these."""
        return self._carried_out.issuperset(orders)

    def settle(self, upto: int, orders: Iterable[Order]) -> None:
        """Nobody asks any more about what was ordered up to an entry, and about these."""
        gone = {order for order in self._known if order.seq <= upto} | set(orders)
        self._known -= gone
        self._carried_out -= gone

    def polled(self, received: bool) -> int:
        """A poll has come. `received`: on the connection that carried the last answer. How many changes go again."""
        if received:
            for change in self._taken.values():
                self._carried_out |= change.orders & self._known
            self._taken, self._answered = self._answered, {}
            return 0
        again, later, self._answered = self._answered, self._waiting, {}
        self._waiting = again
        for target, change in later.items():
            self.tell(target, change)
        return len(again)

    def answer(self, most: int) -> dict[Target, bool]:
        """What to answer a poll: at most so many targets, the oldest first, each with whether to clear it before."""
        chosen = [target for target, _ in zip(self._waiting, range(most), strict=False)]
        self._answered = {target: self._waiting.pop(target) for target in chosen}
        return {target: change.clear for target, change in self._answered.items()}
