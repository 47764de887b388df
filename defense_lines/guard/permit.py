"""A permit is the guard's leave to block, carried into the ledger and the hub; a refusal is its no, with the rule."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import Final

import msgspec

from policy import BlockPolicy

MINT: Final = object()  # the guard's own; whoever lacks it cannot make a permit


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A named operator who takes responsibility for a block that rate or blast radius would refuse."""

    by: str  # "analyst:jo"
    reason: str


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to enforce one block. Made by `Guard.judge` alone; raises TypeError for anyone else."""

    mint: InitVar[object]
    block: BlockPolicy
    override: Override | None  # the operator who overrode a rule; None if no rule had to be
    accepted: float  # monotonic seconds when the guard was asked: the zero of the block's story
    guarded: float  # monotonic seconds when it answered

    def __post_init__(self, mint: object) -> None:
        if mint is not MINT:
            raise TypeError("only the guard makes permits")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The guard's no."""

    rule: str  # "target", "never_block", "ttl", "rate", "blast_radius"
    reason: str  # in words, for the record
    block: BlockPolicy
    override: Override | None = None  # who tried to override a rule that cannot be
