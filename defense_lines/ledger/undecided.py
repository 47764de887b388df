"""Undecided is what somebody has still to decide: blocks that wait for a second person, and canaries that are watched.
With it goes what watches have found to do harm, so that it is not tried again without a person.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from defense_lines.ledger.orders import KEEP
from defense_lines.ledger.record import Approval, Concluded, Held, Record, Staged
from policy import Target

_MOST = 100_000  # harmful targets, as many as a guard remembers; the oldest make room


class Undecided:
    """Folds records, in order. Times are Unix seconds."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, Held]] = {}  # by block id, the oldest first
        self._staged: dict[str, tuple[int, Staged]] = {}
        self._harmful: OrderedDict[Target, tuple[int, float]] = OrderedDict()

    def fold(self, seq: int, record: Record, time: float) -> None:
        """Take one more record into account, written at a time; those of other kinds change nothing."""
        if isinstance(record, Held):
            self._held.pop(record.block, None)
            self._held[record.block] = seq, record
        elif isinstance(record, Approval):
            self.drop(record.block)
        elif isinstance(record, Staged):
            self._staged[record.block] = seq, record
        elif isinstance(record, Concluded):
            self._staged.pop(record.block, None)
            if record.outcome == "harm":
                self._harm(seq, record.policy.target, time)

    def drop(self, block_id: str) -> None:
        """A block waits no more, whatever was said of it."""
        self._held.pop(block_id, None)

    def held(self, now: float) -> list[Held]:
        """Blocks that wait for a second person."""
        return [held for _, held in self._held.values() if held.until > now]

    def staged(self) -> list[Staged]:
        """Canaries of which nothing is concluded; some may stand no more."""
        return [staged for _, staged in self._staged.values()]

    def harmful(self) -> dict[Target, float]:
        """Targets whose blocks did harm, and when that was found, the latest last."""
        return {target: time for target, (_, time) in self._harmful.items()}

    def seqs(self) -> Iterator[int]:
        """Places of all entries that this can be folded from again, in no order."""
        for entries in (self._held, self._staged, self._harmful):
            yield from (seq for seq, _ in entries.values())

    def sweep(self, now: float) -> None:
        """Forget what is long over."""
        self._held = {name: each for name, each in self._held.items() if each[1].until > now - KEEP}
        self._staged = {name: each for name, each in self._staged.items() if each[1].policy.expires > now - KEEP}

    def _harm(self, seq: int, target: Target, time: float) -> None:
        self._harmful[target] = seq, time
        self._harmful.move_to_end(target)
        if len(self._harmful) > _MOST:
            self._harmful.popitem(last=False)
