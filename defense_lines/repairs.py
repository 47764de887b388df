"""Repairs are orders out of turn: what a line failed to do, what it lost, what it should no longer enforce."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from defense_lines.line import Order
from policy import BlockPolicy


@dataclass(slots=True)
class _Repair:
    seq: int  # the entry that ordered it; 0 where the line is to let go of what no entry orders
    lift: bool
    due: float  # monotonic seconds
    failures: int = 0


class Repairs:
    """At most one a block, each with a pause of its own after a failure."""

    def __init__(self) -> None:
        self._by_id: dict[str, _Repair] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, block_id: str) -> bool:
        return block_id in self._by_id

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def want(self, seq: int, block_id: str, lift: bool, due: float) -> bool:
        """One more to make; False if there is one for this block already."""
        if block_id in self._by_id:
            return False
        self._by_id[block_id] = _Repair(seq, lift, due)
        return True

    def failed(self, seq: int, block_id: str, lift: bool, pause: Callable[[int], float], now: float) -> bool:
        """The line failed at it: tried again after a pause, which grows. Whether this is the first failure in a row."""
        repair = self._by_id.setdefault(block_id, _Repair(seq, lift, now))
        repair.lift = lift
        repair.failures += 1
        repair.due = now + pause(repair.failures)
        return repair.failures == 1

    def done(self, block_ids: Iterable[str]) -> None:
        """Answered for good, or overtaken by another order."""
        for block_id in block_ids:
            self._by_id.pop(block_id, None)

    def take(self, limit: int, now: float, standing: Callable[[str], BlockPolicy | None]) -> tuple[Order, ...]:
        """At most `limit` that are due. What would enforce a block that stands no more is dropped."""
        orders: list[Order] = []
        for block_id, repair in list(self._by_id.items()):
            block = None if repair.lift else standing(block_id)
            if block is None and not repair.lift:
                del self._by_id[block_id]
            elif repair.due <= now and len(orders) < limit:
                orders.append(Order(repair.seq, block_id, block))
        return tuple(orders)

    def due(self) -> float | None:
        """When the next one is due, monotonic seconds."""
        return min((repair.due for repair in self._by_id.values()), default=None)

    def oldest(self) -> int | None:
        """The first entry whose order is not carried out."""
        return min((repair.seq for repair in self._by_id.values() if repair.seq), default=None)
