"""Steps are what a supervisor has its line do, what comes of them, and what it needs of the ledger to decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from defense_lines.ledger import Noted, Place, Whom
from defense_lines.line import Digest, Order, Orders
from policy import BlockPolicy


@dataclass(frozen=True, slots=True)
class Push:
    """Have the line carry this out."""

    orders: Orders


@dataclass(frozen=True, slots=True)
class List:
    """Ask the line what it enforces."""

    unless: Digest
    time: float  # Unix seconds
    upto: int  # what the line had been told then


Step = Push | List
Claim = tuple[int, int]  # after one entry, up to another


@dataclass(frozen=True, slots=True)
class Seen:
    """What is to go on record once a line was asked what it enforces."""

    claims: list[Claim]  # carried out, but for what is noted; the line's answers were lost on our side
    notes: list[Noted]


@dataclass(frozen=True, slots=True)
class Difference:
    """Ids of what a line enforces and should not, and of what it should and does not."""

    over: set[str]
    missing: set[str]


class Standing(Protocol):
    """What a supervisor needs of the ledger."""

    @property
    def last_order(self) -> int:
        """The newest entry that ordered anything."""

    def orders(self, after: int, whom: Whom, now: float, limit: int) -> Orders:
        """What a line is told that was told everything up to entry `after`."""

    def repair(self, orders: tuple[Order, ...], now: float) -> Orders:
        """The same for orders out of turn."""

    def digest(self, upto: int, whom: Whom, time: float) -> Digest:
        """Of what a line should hold that was told everything up to entry `upto`."""

    def held(self, upto: int, whom: Whom, time: float) -> set[str]:
        """The ids of the same."""

    def behind(self, after: int, whom: Whom, now: float) -> int:
        """How many orders a line has still to be told."""

    def standing(self, block_id: str, now: float) -> BlockPolicy | None:
        """The block, if it stands now."""

    def place(self, block_id: str) -> Place | None:
        """The latest order about a block, as long as it is not forgotten."""
