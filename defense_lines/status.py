"""A line's status, for whoever watches the lines."""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

from defense_lines.line import Capabilities

State = Literal["starting", "up", "failing", "away"]
Service = Literal["in_service", "drained", "quarantined"]


class LineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one line is doing."""

    name: str
    state: State  # failing: it answers, but with errors
    service: Service  # whether it is given orders
    capabilities: Capabilities | None  # as last declared; None if it never connected
    cursor: int  # entry of the ledger up to which it was told everything
    pending: int  # orders not yet answered for good
    last_contact: float | None  # Unix seconds of its last answer
    last_error: str
    enforced: int  # blocks that it enforces, as far as it told
    refused: int  # live blocks that it refused
    foreign: tuple[str, ...]  # ids that it enforces and that no ledger of ours knows, the first hundred
    drifted: int  # blocks found missing or left over since the start, and repaired
    p50_ms: float | None  # from ordered to receipt, of the last two hundred batches
    p99_ms: float | None


class Delays:
    """The last two hundred delays: to rank more for each of a thousand lines holds up who asks and everybody else."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=200)
        self._ranked: list[float] | None = None  # once somebody looked, until there is one more

    def add(self, seconds: float) -> None:
        """Remember one more."""
        self._seconds.append(seconds)
        self._ranked = None

    def ms(self, share: float) -> float | None:
        """The delay in milliseconds that a share of all does not exceed."""
        if self._ranked is None:
            self._ranked = sorted(self._seconds)
        ranked = self._ranked
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] * 1e3 if ranked else None
