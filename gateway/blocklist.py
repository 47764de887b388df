"""What the edge refuses now: the block policies in force, looked up by everyone in a request's chain."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from prometheus_client import Gauge

from gateway.marks import UNMARKED, Marks
from gateway.sessions import Sessions
from policy import BlockPolicy, Principal

_STANDING = Gauge("portcullis_gateway_blocks_standing", "Block policies that the edge enforces")
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
        self._ranges: dict[str, _Network] = {}

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

    def expire(self) -> None:
        """Forget what has run out; `find` ignores it in any case."""
        now = self._clock()
        self.lift([block.id for block in self._blocks.values() if block.expires <= now])

    def find(self, principal: Principal | None, address: str) -> BlockPolicy | None:
        """The block that a request by this principal from this address runs into, if any."""
        if not self._blocks:
            return None
        return next((block for block in self._matching(principal, address) if block.expires > self._clock()), None)

    def _enforce(self, block: BlockPolicy) -> int:
        if block.id not in self._blocks:
            self._blocks[block.id] = block
            self._by.setdefault((block.target.kind, block.target.value), set()).add(block.id)
            if block.target.kind == "range":
                self._ranges[block.id] = ipaddress.ip_network(block.target.value)
            _STANDING.set(len(self._blocks))
        if block.target.kind == "range":
            self._marks.everything()
        else:
            self._marks.touch(block.target.kind, block.target.value)
        touched = self._sessions.find(block.target.kind, block.target.value)
        return self._sessions.cut(touched, "blocked", "block")

    def _forget(self, block: BlockPolicy) -> None:
        key = (block.target.kind, block.target.value)
        self._by[key].discard(block.id)
        if not self._by[key]:
            del self._by[key]
        self._ranges.pop(block.id, None)

    def _matching(self, principal: Principal | None, address: str) -> Iterable[BlockPolicy]:
        for key in _keys(principal, address):
            for block_id in self._by.get(key, ()):
                yield self._blocks[block_id]
        if self._ranges and address:
            parsed = ipaddress.ip_address(address)
            yield from (self._blocks[block_id] for block_id, network in self._ranges.items() if parsed in network)


def _keys(principal: Principal | None, address: str) -> Iterable[tuple[str, str]]:
    if principal is not None:
        yield "principal", principal.id
        for actor in principal.chain():
            yield "actor", actor
    if address:
        yield "address", address
