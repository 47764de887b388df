"""What the edge refuses now: the block policies in force, looked up by everyone in a request's chain."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import Gauge

from defense_lines import Digest, EdgeLine, Prefixes, Sums, canonical, span
from gateway.marks import UNMARKED, Marks
from gateway.sessions import Sessions
from policy import BlockPolicy, Principal, Target

_STANDING = Gauge("portcullis_gateway_blocks_standing", "Block policies that the edge enforces")
_SLACK = 1024  # ends of blocks that were lifted, beyond as many as there are blocks


class Changes(Protocol):
    """Hears of each change before it is made here."""

    def enforced(self, blocks: Sequence[BlockPolicy]) -> None:
        """These are refused from now on."""
        ...

    def lifted(self, block_ids: Sequence[str]) -> None:
        """These are refused no more."""
        ...


class Blocklist:
    """The gateway's side of the edge line (implements `defense_lines.EdgePort`): refuses requests, cuts sessions."""

    def __init__(
        self,
        sessions: Sessions,
        marks: Marks = UNMARKED,
        clock: Callable[[], float] = time.time,
        changes: Changes | None = None,
    ) -> None:
        self._sessions = sessions
        self._marks = marks
        self._clock = clock
        self._changes = changes
        self._blocks: dict[str, BlockPolicy] = {}
        self._by: dict[tuple[str, str], set[str]] = {}
        self._ranges = Prefixes()
        self._sums = Sums()
        self._ends: list[tuple[float, str]] = []  # heap

    def enforce(self, blocks: Sequence[BlockPolicy]) -> int:
        """Refuse what these target from now on and end what lives; the number of streams cut."""
        if self._changes is not None:
            self._changes.enforced(blocks)  # first: whoever is told refuses while streams are still being cut here
        return sum(self._enforce(block) for block in blocks)

    def lift(self, block_ids: Sequence[str]) -> None:
        """Stop refusing; unknown ids are none of ours."""
        if self._changes is not None and block_ids:
            self._changes.lifted(block_ids)
        for block_id in block_ids:
            block = self._blocks.pop(block_id, None)
            if block is not None:
                self._forget(block)
        _STANDING.set(len(self._blocks))

    def blocks(self) -> Sequence[BlockPolicy]:
        """All that are enforced, those that have just run out among them."""
        return tuple(self._blocks.values())

    def active(self) -> Sequence[str]:
        """Ids enforced at this moment."""
        now = self._clock()
        return [block.id for block in self._blocks.values() if block.expires > now]

    def digest(self, time: float) -> Digest:
        """See EdgePort."""
        return self._sums.digest(EdgeLine.name, EdgeLine.capabilities.targets, time)

    def expire(self) -> None:
        """Forget what has run out; `find` ignores it in any case."""
        self.lift(list(self._ended(self._clock())))

    def find(self, principal: Principal | None, address: str) -> BlockPolicy | None:
        """The block that a request by this principal from this address runs into, if any."""
        if not self._blocks:
            return None
        return next((block for block in self._matching(principal, address) if block.expires > self._clock()), None)

    def holding(self, target: Target) -> Sequence[str]:
        """Ids of enforced blocks that hold all of a target: the same again, or a range around it."""
        same = self._by.get((target.kind, target.value), set())
        if target.kind not in ("address", "range"):
            return sorted(same)
        return sorted(same | set(self._ranges.holding(span(target.value))))

    def _ended(self, now: float) -> Iterator[str]:
        while self._ends and self._ends[0][0] <= now:
            _, block_id = heapq.heappop(self._ends)
            if block_id in self._blocks:
                yield block_id
        if len(self._ends) > 2 * len(self._blocks) + _SLACK:
            self._ends = [end for end in self._ends if end[1] in self._blocks]
            heapq.heapify(self._ends)

    def _enforce(self, block: BlockPolicy) -> int:
        if block.id not in self._blocks:
            self._sums.add(block)
            self._blocks[block.id] = block
            self._by.setdefault((block.target.kind, block.target.value), set()).add(block.id)
            if block.target.kind == "range":
                self._ranges.add(span(block.target.value), block.id)
            heapq.heappush(self._ends, (block.expires, block.id))
            _STANDING.set(len(self._blocks))
        if block.target.kind == "range":
            self._marks.everything()
        else:
            self._marks.touch(block.target.kind, block.target.value)
        touched = self._sessions.find(block.target.kind, block.target.value)
        return self._sessions.cut(touched, "blocked", "block")

    def _forget(self, block: BlockPolicy) -> None:
        self._sums.remove(block)
        key = (block.target.kind, block.target.value)
        self._by[key].discard(block.id)
        if not self._by[key]:
            del self._by[key]
        if block.target.kind == "range":
            self._ranges.discard(span(block.target.value), block.id)

    def _matching(self, principal: Principal | None, address: str) -> Iterable[BlockPolicy]:
        for key in _keys(principal, address):
            for block_id in self._by.get(key, ()):
                yield self._blocks[block_id]
        if address and self._ranges:
            yield from (self._blocks[block_id] for block_id in self._around(address))

    def _around(self, address: str) -> Iterable[str]:
        try:
            return self._ranges.holding(span(address))
        except ValueError:  # a caller over a Unix socket has no address
            return ()


def _keys(principal: Principal | None, address: str) -> Iterable[tuple[str, str]]:
    if principal is not None:
        yield "principal", principal.id
        for actor in principal.chain():
            yield "actor", actor
    if address:
        yield "address", canonical(address)
