"""A defense line carries out block policies on one actuator and answers for each with a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from policy import BlockPolicy, TargetKind

Outcome = Literal["enforced", "lifted", "refused", "failed", "expired"]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One line's own answer to one order."""

    block: str  # block id
    line: str  # line name
    outcome: Outcome
    time: float  # Unix seconds by the line's clock
    ms: float  # what it took the line, milliseconds
    detail: str = ""  # in words, where it is not plain
    head: str = ""  # ledger head that the order carried, echoed


class LineUnavailable(Exception):
    """The line cannot be reached now; the supervisor backs off and tries again."""


class DefenseLine(Protocol):
    """Carries out block policies on one actuator. Idempotent by block id.

    A driver never retries, sleeps or expires: it raises LineUnavailable, and the supervisor decides.
    """

    name: str
    targets: frozenset[TargetKind]  # the kinds that it can enforce

    async def apply(self, blocks: Sequence[BlockPolicy], head: str) -> Sequence[Receipt]:
        """Enforce; `head` is the ledger's signed head, echoed in each receipt. Raises LineUnavailable."""
        ...

    async def revoke(self, block_ids: Sequence[str], head: str) -> Sequence[Receipt]:
        """Stop enforcing; unknown ids are answered `lifted` too. Raises LineUnavailable."""
        ...

    async def active(self) -> Sequence[str]:
        """Ids enforced at this moment: the truth after a restart. Raises LineUnavailable."""
        ...


class EdgePort(Protocol):
    """What the edge line needs of the gateway: cut live streams and refuse new requests. Never waits."""

    def enforce(self, blocks: Sequence[BlockPolicy]) -> int:
        """Refuse what the blocks target from now on and cut what lives; the number of streams cut."""
        ...

    def lift(self, block_ids: Sequence[str]) -> None:
        """Stop refusing."""
        ...

    def active(self) -> Sequence[str]:
        """Ids refused at this moment."""
        ...
