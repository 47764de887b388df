"""Orders are what a line still has to do: at most one a block, the latest; each with its own pause after a failure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from policy import BlockPolicy


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a supervisor is. Times are seconds."""

    deadline: float = 2.0  # of one apply or revoke
    listing: float = 30.0  # of one question what is enforced: 100,000 blocks take a kernel a while
    shortest: float = 0.05  # first pause after a failure; doubled each time
    longest: float = 5.0
    reconcile: float = 30.0  # between two reconciliations
    batch: int = 1000  # orders in one call

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, with jitter so that lines do not come back in step."""
        full = min(self.longest, self.shortest * 2.0 ** min(failures - 1, 16))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 jitter is no secret


@dataclass(slots=True, eq=False)
class Order:
    """Enforce a block, or stop enforcing it."""

    seq: int  # the entry that ordered it; 0 where a reconciliation did
    block_id: str
    block: BlockPolicy | None  # None: stop enforcing
    since: float  # monotonic seconds when it was ordered
    due: float = 0.0  # monotonic seconds before which it is not tried
    failures: int = 0


class Orders:
    """What is pending, in order of arrival. A later order about a block takes the place of an earlier one."""

    def __init__(self, seq: int) -> None:
        self._pending: dict[str, Order] = {}
        self._seen = seq

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, block_id: str) -> bool:
        return block_id in self._pending

    @property
    def cursor(self) -> int:
        """Up to which entry every order is answered."""
        return min((order.seq - 1 for order in self._pending.values() if order.seq), default=self._seen)

    def seen(self, seq: int) -> None:
        """The history up to seq has been looked at, whether it held orders for this line or not."""
        self._seen = max(self._seen, seq)

    def add(self, order: Order) -> None:
        """One more order."""
        self.seen(order.seq)
        earlier = self._pending.pop(order.block_id, None)
        if earlier and earlier.seq and not order.seq:
            order.seq = earlier.seq
        self._pending[order.block_id] = order

    def done(self, order: Order) -> None:
        """Answered for good, unless another order took its place meanwhile."""
        if self._pending.get(order.block_id) is order:
            del self._pending[order.block_id]

    def take(self, lift: bool, now: float, limit: int) -> list[Order]:
        """Orders of one sort that are due, the oldest first; they stay pending until done."""
        due = (order for order in self._pending.values() if (order.block is None) == lift and order.due <= now)
        return [order for order, _ in zip(due, range(limit), strict=False)]

    def next_due(self) -> float | None:
        """When the next order is due, monotonic seconds."""
        return min((order.due for order in self._pending.values()), default=None)

    def drop_expired(self, now: float) -> Sequence[Order]:
        """Forget orders to enforce what has expired (Unix seconds)."""
        expired = [order for order in self._pending.values() if order.block and order.block.expires <= now]
        for order in expired:
            del self._pending[order.block_id]
        return expired
