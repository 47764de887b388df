"""Sums of what lives: the digest of any line's blocks at a moment, without a walk over all of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from defense_lines.line import Digest
from policy import BlockPolicy, TargetKind

_Key = tuple[TargetKind, str]  # kind; and the line that alone is meant, or "" for every line that can
_NOTHING = Digest()


class Sums:
    """Counts blocks by kind, and by line where only some are meant. `stands` tells whether an id was not lifted."""

    def __init__(self, stands: Callable[[str], bool]) -> None:
        self._stands = stands
        self._sums: dict[_Key, Digest] = {}
        self._ends: list[tuple[float, str, tuple[_Key, ...]]] = []  # heap: when, id, where it is counted
        self._upto = 0.0  # Unix seconds: what ended by then is not counted

    def add(self, block: BlockPolicy) -> None:
        """A block was ordered."""
        if block.expires > self._upto:
            keys = _keys(block)
            for key in keys:
                self._sums[key] = self._sums.get(key, _NOTHING).plus(block.id)
            heapq.heappush(self._ends, (block.expires, block.id, keys))

    def remove(self, block: BlockPolicy) -> None:
        """A block was lifted."""
        if block.expires > self._upto:
            self._subtract(block.id, _keys(block))

    def digest(self, name: str, targets: Iterable[TargetKind], time: float, blocks: Iterable[BlockPolicy]) -> Digest:
        """Of the blocks that mean a line and outlive `time`; `blocks` are all, should the clock have been set back."""
        if time < self._upto:
            self._count_again(time, blocks)
        self._end(time)
        found = [self._sums.get((kind, meant), _NOTHING) for kind in targets for meant in ("", name)]
        return Digest(sum(each.count for each in found), sum(each.sum for each in found) % (1 << 64))

    def _end(self, time: float) -> None:
        self._upto = time
        while self._ends and self._ends[0][0] <= time:
            _, block_id, keys = heapq.heappop(self._ends)
            if self._stands(block_id):
                self._subtract(block_id, keys)

    def _count_again(self, time: float, blocks: Iterable[BlockPolicy]) -> None:
        self._sums, self._ends, self._upto = {}, [], time
        for block in blocks:
            self.add(block)

    def _subtract(self, block_id: str, keys: Iterable[_Key]) -> None:
        for key in keys:
            self._sums[key] = self._sums[key].minus(block_id)


def _keys(block: BlockPolicy) -> tuple[_Key, ...]:
    return tuple((block.target.kind, name) for name in dict.fromkeys(block.lines or ("",)))
