"""Blocks that stand on addresses and ranges, found by what they cover in time that does not grow with their number."""

from __future__ import annotations

import heapq
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence

from defense_lines.ledger import Blocked, Entry, Lift, Posture
from defense_lines.lines.crowdsec.journal import MOST, Change, Journal
from policy import BlockPolicy, Target

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Length = tuple[int, int]  # IP version, prefix length


class Addresses:
    """Follows the ledger. One dict for each prefix length that occurs: a look-up asks each of them once."""

    def __init__(self, blocks: Iterable[BlockPolicy] = (), remembered: int = MOST) -> None:
        """`blocks`: what stands already; `remembered`: how many changes the journal has room for."""
        self.journal = Journal(remembered)
        self.seq = 0  # the ledger's entry up to which all is known
        self.on_change: Callable[[Change], None] = _nothing
        self.on_posture: Callable[[str], None] = _nothing  # with the line's name
        self._blocks: dict[str, BlockPolicy] = {}  # by id, until their time; those lifted among them
        self._at: dict[_Length, dict[int, tuple[BlockPolicy, ...]]] = {}  # by the leading bits
        self._ends: list[tuple[float, str]] = []  # heap: when, id
        self.restore(blocks)

    def committed(self, entries: Sequence[Entry]) -> None:
        """What the ledger has made durable."""
        for entry in entries:
            self.seq = entry.seq
            if isinstance(entry.record, Blocked):
                self.put(entry.record.policy)
            elif isinstance(entry.record, Lift):
                self.lift(entry.record.block)
            elif isinstance(entry.record, Posture):
                self.on_posture(entry.record.line)

    def restore(self, blocks: Iterable[BlockPolicy]) -> None:
        """Blocks that stood before: for whoever is told all that stands, nothing has changed."""
        for block in blocks:
            if _ours(block) and block.id not in self._blocks:
                self._insert(block)

    def put(self, block: BlockPolicy) -> None:
        """A block was ordered; one on anything but an address or a range is none of ours."""
        if _ours(block) and block.id not in self._blocks:
            others = bool(self.at(_network(block.target)))
            self._insert(block)
            self._changed(block, others)

    def lift(self, block_id: str) -> None:
        """A block was lifted. It is remembered until its time."""
        block = self._blocks.get(block_id)
        if block and self._take_away(block):
            self._changed(block, True)

    def gone(self, block: BlockPolicy) -> None:
        """A block that had ended or was lifted before: who held it then may hold it still, whatever stands there now
        for others.
        """
        if _ours(block) and block.id not in self._blocks:
            self._changed(block, True)

    def end(self, now: float, most: int) -> None:
        """Forget at most so many that have run their time by now (Unix seconds)."""
        while self._ends and self._ends[0][0] <= now and most > 0:
            block = self._blocks.pop(heapq.heappop(self._ends)[1])
            most -= 1
            if self._take_away(block):
                self._changed(block, True)

    def known(self) -> list[BlockPolicy]:
        """All blocks whose time has not come, those lifted among them."""
        return list(self._blocks.values())

    def at(self, network: Network) -> tuple[BlockPolicy, ...]:
        """Blocks on exactly this network, those among them that have just ended."""
        length, bits = _place(network)
        return self._at.get(length, {}).get(bits, ())

    def over(self, network: Network) -> Iterator[BlockPolicy]:
        """Blocks on all that contains this network, those among them that have just ended."""
        first, width = int(network.network_address), network.max_prefixlen
        for (version, length), table in self._at.items():
            if version == network.version and length <= network.prefixlen:
                yield from table.get(first >> (width - length), ())

    def _changed(self, block: BlockPolicy, clear: bool) -> None:
        change = Change(block.target, block.lines, clear)
        self.journal.add(change)
        self.on_change(change)

    def _insert(self, block: BlockPolicy) -> None:
        self._blocks[block.id] = block
        heapq.heappush(self._ends, (block.expires, block.id))
        length, bits = _place(_network(block.target))
        table = self._at.setdefault(length, {})
        table[bits] = (*table.get(bits, ()), block)

    def _take_away(self, block: BlockPolicy) -> bool:
        length, bits = _place(_network(block.target))
        table = self._at.get(length, {})
        there = table.get(bits, ())
        left = tuple(each for each in there if each.id != block.id)
        if left:
            table[bits] = left
        elif there:
            del table[bits]
            if not table:
                del self._at[length]
        return len(left) < len(there)


def _ours(block: BlockPolicy) -> bool:
    return block.target.kind in ("address", "range")


def _network(target: Target) -> Network:
    return ipaddress.ip_network(target.value)


def _place(network: Network) -> tuple[_Length, int]:
    bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
    return (network.version, network.prefixlen), bits


def _nothing(_: object) -> None:
    pass
