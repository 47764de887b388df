"""The edge line: the gateway itself refuses new requests and cuts live streams, reached through its port."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from defense_lines.line import Capabilities, Digest, EdgePort, Note, Order, Orders, Receipts
from policy import BlockPolicy

_EARLY = 10_000  # blocks that are enforced and not yet ordered


class EdgeLine:
    """Enforces at once, without waiting for anything; each block then ends by the port's own timer."""

    name = "edge"
    capabilities = Capabilities(targets=frozenset({"address", "range", "principal", "actor", "session"}))
    cursor: int | None = None

    def __init__(
        self,
        port: EdgePort,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._port = port
        self._clock = clock
        self._stopwatch = stopwatch
        self._early: OrderedDict[str, tuple[Note, float]] = OrderedDict()  # and when each expires, Unix seconds

    def enforce(self, block: BlockPolicy) -> None:
        """Refuse and cut now, before it is ordered; the receipt waits for the order. Raises what the port raises."""
        self._early[block.id] = self._enforced(block), block.expires
        if len(self._early) > _EARLY:
            self._early.popitem(last=False)

    def restore(self, blocks: Sequence[BlockPolicy]) -> None:
        """Refuse what stands from before. Raises what the port raises."""
        self._port.enforce(blocks)

    async def carry_out(self, orders: Orders) -> Receipts:
        """See DefenseLine. What was enforced before it was ordered is only answered for."""
        started = self._stopwatch()
        notes = [note for order in orders.orders if (note := self._carry_out(order))]
        ms = (self._stopwatch() - started) * 1e3
        return Receipts(time=self._clock(), ms=ms, head=orders.head, notes=tuple(notes))

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """See DefenseLine. What is not ordered yet makes no difference."""
        digest = self._port.digest(time)
        for block_id, (_, expires) in self._early.items():
            digest = digest.minus(block_id) if expires > time else digest
        return None if digest == unless else self._port.active()

    def _carry_out(self, order: Order) -> Note | None:
        if order.block is None:
            self._port.lift([order.id])
            self._early.pop(order.id, None)
            return None
        early = self._early.pop(order.id, None)
        return early[0] if early else self._enforced(order.block)

    def _enforced(self, block: BlockPolicy) -> Note:
        started = self._stopwatch()
        cut = self._port.enforce([block])
        detail = f"{cut} streams cut in {(self._stopwatch() - started) * 1e3:.2f} ms"
        return Note(block.id, "enforced", detail, self._clock())
