"""Detectors' blocks that stand: one that is wanted again while it has most of its time left is not made anew.

Whoever is blocked and goes on knocking gets a verdict each time. Were each a block, thirty who knock would use up all
the blocks that their detector may have in a minute.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from policy import BlockPolicy, Target

_MOST = 100_000  # targets remembered; the oldest makes room, and is blocked anew
_ENOUGH = 0.5  # of the time that is wanted


class Renewals:
    """The latest block of each target and detector. `standing` says of an id whether its block is on record, and lives,
    at a time (Unix seconds).
    """

    def __init__(self, standing: Callable[[str, float], BlockPolicy | None]) -> None:
        self._standing = standing
        self._latest: OrderedDict[tuple[Target, str], str] = OrderedDict()  # block ids

    def put(self, blocks: Iterable[BlockPolicy]) -> None:
        """These were permitted; people's are not kept, for a person gets what they ask for."""
        for block in blocks:
            if block.cause.by.startswith("detector:"):
                self._latest[block.target, block.cause.by] = block.id
                self._latest.move_to_end((block.target, block.cause.by))
        while len(self._latest) > _MOST:
            self._latest.popitem(last=False)

    def enough(self, wanted: BlockPolicy, now: float) -> BlockPolicy | None:
        """A block that stands, of the same target by the same detector, with at least half of the time that is wanted
        left; None where there is none.
        """
        found = self._standing(self._latest.get((wanted.target, wanted.cause.by), ""), now)
        if found is None or found.remaining(now) < _ENOUGH * (wanted.expires - wanted.created):
            return None
        return found
