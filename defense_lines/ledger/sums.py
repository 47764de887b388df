"""Sums of what lives: the digest of any line's blocks at a moment, without a walk over all of them."""

from __future__ import annotations

from collections.abc import Iterable

from defense_lines.ledger.ends import Ends
from defense_lines.line import Digest
from policy import BlockPolicy, TargetKind

_Key = tuple[TargetKind, str]  # kind; and the line that alone is meant, or "" for every line that can
_WRAP = 1 << 64


class Sums:
    """Holds blocks' numbers by kind, and by line where only some are meant."""

    def __init__(self) -> None:
        self._ends: dict[_Key, Ends] = {}

    def add(self, block: BlockPolicy) -> None:
        """A block was ordered. Raises ValueError for an id that is none."""
        number = number_of(block.id)
        for key in _keys(block):
            ends = self._ends.get(key)
            if ends is None:
                ends = self._ends[key] = Ends()
            ends.add(block.expires, number)

    def remove(self, block: BlockPolicy) -> None:
        """A block was lifted."""
        number = number_of(block.id)
        for key in _keys(block):
            self._ends[key].remove(block.expires, number)

    def digest(self, name: str, targets: Iterable[TargetKind], time: float) -> Digest:
        """Of the blocks that mean a line and outlive `time`."""
        keys = ((kind, meant) for kind in targets for meant in ("", name))
        found = [self._ends[key].after(time) for key in keys if key in self._ends]
        return Digest(sum(count for count, _ in found), sum(total for _, total in found) % _WRAP)

    def forget(self, time: float) -> None:
        """Drop what ended by a moment."""
        for ends in self._ends.values():
            ends.forget(time)


def number_of(block_id: str) -> int:
    """The number in a block's id. Raises ValueError for an id that is none."""
    number = int(block_id.removeprefix("b-"), 16)
    if not 0 <= number < _WRAP:
        raise ValueError(f"{block_id!r} is no block id")
    return number


def _keys(block: BlockPolicy) -> tuple[_Key, ...]:
    if not block.lines:
        return ((block.target.kind, ""),)
    return tuple((block.target.kind, name) for name in dict.fromkeys(block.lines))
