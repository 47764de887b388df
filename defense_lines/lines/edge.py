"""The edge line: the gateway itself refuses new requests and cuts live streams, reached through its port."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from defense_lines.line import EdgePort, Receipt
from policy import BlockPolicy, TargetKind


class EdgeLine:
    """Enforces at once, without waiting for anything; each block then ends by the port's own timer."""

    name = "edge"
    targets: frozenset[TargetKind] = frozenset({"address", "range", "principal", "actor", "session"})

    def __init__(
        self,
        port: EdgePort,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._port = port
        self._clock = clock
        self._stopwatch = stopwatch

    def enforce(self, blocks: Sequence[BlockPolicy], head: str) -> list[Receipt]:
        """Refuse and cut now. Raises what the port raises."""
        started = self._stopwatch()
        cut = self._port.enforce(blocks)
        ms = (self._stopwatch() - started) * 1e3
        detail = f"{cut} streams cut" if len(blocks) == 1 else f"{cut} streams cut by {len(blocks)} blocks"
        return [
            Receipt(
                block=block.id, line=self.name, outcome="enforced", time=self._clock(), ms=ms, detail=detail, head=head
            )
            for block in blocks
        ]

    async def apply(self, blocks: Sequence[BlockPolicy], head: str) -> Sequence[Receipt]:
        """As `enforce`."""
        return self.enforce(blocks, head)

    async def revoke(self, block_ids: Sequence[str], head: str) -> Sequence[Receipt]:
        """Stop refusing."""
        started = self._stopwatch()
        self._port.lift(block_ids)
        ms = (self._stopwatch() - started) * 1e3
        return [
            Receipt(block=block_id, line=self.name, outcome="lifted", time=self._clock(), ms=ms, head=head)
            for block_id in block_ids
        ]

    async def active(self) -> Sequence[str]:
        """What the port refuses at this moment."""
        return self._port.active()
