"""Struck: the good callers that standing blocks hit together, so that many small blocks are not one large one."""

from __future__ import annotations

import heapq
from collections.abc import Set

_NOBODY: frozenset[str] = frozenset()


class Struck:
    """Good principals by the blocks that hit them, for as long as those stand. Times are Unix seconds."""

    def __init__(self) -> None:
        self._blocks: dict[str, Set[str]] = {}
        self._counts: dict[str, int] = {}
        self._ends: list[tuple[float, str]] = []  # heap

    def add(self, block_id: str, principals: Set[str], expires: float) -> None:
        """A block that hits these stands from now on."""
        if not principals or block_id in self._blocks:
            return
        self._blocks[block_id] = principals
        heapq.heappush(self._ends, (expires, block_id))
        for name in principals:
            self._counts[name] = self._counts.get(name, 0) + 1

    def remove(self, block_id: str) -> None:
        """A block stands no more."""
        for name in self._blocks.pop(block_id, _NOBODY):
            self._counts[name] -= 1
            if not self._counts[name]:
                del self._counts[name]

    def together(self, principals: Set[str], now: float) -> int:
        """How many would be hit with these."""
        while self._ends and self._ends[0][0] <= now:
            self.remove(heapq.heappop(self._ends)[1])
        return len(self._counts) + sum(1 for name in principals if name not in self._counts)
