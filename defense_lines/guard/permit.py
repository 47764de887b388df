"""The guard's answers. A permit is leave to block, carried into the ledger and the hub; a refusal is a no; a hold waits
for a second person. Each has its reason.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import Final

import msgspec

from defense_lines.guard.blast_radius import Radius
from policy import BlockPolicy

MINT: Final = object()  # the guard's own; whoever lacks it cannot make a permit


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A named operator who takes responsibility for a block that the rate would refuse, or that would go by canary."""

    by: str  # "analyst:jo"
    reason: str


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """A second person who takes responsibility with the first."""

    by: str  # "analyst:kim"
    reason: str
    principals: int  # good principals that the block would hit, as this person was told


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to enforce one block. Made by the `Guard` alone; raises TypeError for anyone else."""

    mint: InitVar[object]
    block: BlockPolicy
    override: Override | None  # the operator who overrode a rule; None if no rule had to be
    accepted: float  # monotonic seconds when the guard was asked: the zero of the block's story
    guarded: float  # monotonic seconds when it answered
    detail: str = ""  # what the guard changed and why, in words, for the record
    whole: BlockPolicy | None = None  # where `block` is a canary for one line: what is to follow on all
    bearable: int = 0  # good callers that it may refuse before that counts as harm
    approved: Approved | None = None  # the second person; None where none was needed

    def __post_init__(self, mint: object) -> None:
        if mint is not MINT:
            raise TypeError("only the guard makes permits")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The guard's no."""

    rule: str  # "target", "never_block", "ttl", "rate", "policy", "approval"
    reason: str  # in words, for the record
    block: BlockPolicy
    override: Override | None = None  # who tried to override a rule that cannot be


@dataclass(frozen=True, slots=True)
class Hold:
    """Not without a second, different person."""

    rule: str  # "rolled_back", "blind", "shared", "wide", "blast_radius", "standing", "policy", "grown"
    reason: str  # in words, for who is to approve
    block: BlockPolicy
    radius: Radius
