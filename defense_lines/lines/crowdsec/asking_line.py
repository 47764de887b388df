"""A bouncer that asks about single addresses, as a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from defense_lines.line import Capabilities, Digest, LineUnavailable, Orders, Receipts


class AskingLine:
    """What is durable is in the answers from then on, so that there is nothing to carry out."""

    def __init__(self, name: str, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.capabilities = Capabilities(targets=frozenset({"address", "range"}), lists=False)
        self.cursor: int | None = 0
        self._clock = clock

    async def carry_out(self, orders: Orders) -> Receipts:
        """See DefenseLine."""
        return Receipts(time=self._clock(), ms=0.0, head=orders.head)

    async def active(self, unless: Digest, time: float) -> Sequence[str] | None:
        """Never asked: what a bouncer does with our answers, the protocol does not tell."""
        raise LineUnavailable(f"{self.name}: a bouncer cannot list what it enforces")
