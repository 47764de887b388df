"""Blocks that stand on addresses and ranges, found by what they cover in time that does not grow with their number."""

from __future__ import annotations

import heapq
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from defense_lines.ledger import Blocked, Entry, Lift
from policy import BlockPolicy, Target

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Length = tuple[int, int]  # IP version, prefix length


class Addresses:
    """Follows the ledger. One dict for each prefix length that occurs: a look-up asks each of them once."""

    def __init__(self, blocks: Iterable[BlockPolicy] = ()) -> None:
        """`blocks`: what stands already."""
        self._blocks: dict[str, BlockPolicy] = {}  # by id, until their time; those lifted among them
        self._at: dict[_Length, dict[int, tuple[BlockPolicy, ...]]] = {}  # by the leading bits
        self._ends: list[tuple[float, str]] = []  # heap: when, id
        for block in blocks:
            self.put(block)

    def committed(self, entries: Sequence[Entry]) -> None:
        """What the ledger has made durable."""
        for entry in entries:
            if isinstance(entry.record, Blocked):
                self.put(entry.record.policy)
            elif isinstance(entry.record, Lift):
                self.lift(entry.record.block)

    def put(self, block: BlockPolicy) -> None:
        """A block was ordered; one on anything but an address or a range is none of ours."""
        if block.target.kind not in ("address", "range") or block.id in self._blocks:
            return
        self._blocks[block.id] = block
        heapq.heappush(self._ends, (block.expires, block.id))
        length, bits = _place(ipaddress.ip_network(block.target.value))
        table = self._at.setdefault(length, {})
        table[bits] = (*table.get(bits, ()), block)

    def lift(self, block_id: str) -> None:
        """A block was lifted. What it was about is known until its time, for whoever is still to be told."""
        if block := self._blocks.get(block_id):
            self._take_away(block)

    def block(self, block_id: str) -> BlockPolicy | None:
        """A block that is known, lifted or not."""
        return self._blocks.get(block_id)

    def end(self, now: float, most: int) -> list[Target]:
        """Forget at most so many that have run their time by now (Unix seconds); what they stood on until then."""
        ended = list[Target]()
        while self._ends and self._ends[0][0] <= now and len(ended) < most:
            block = self._blocks.pop(heapq.heappop(self._ends)[1])
            if self._take_away(block):
                ended.append(block.target)
        return ended

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

    def _take_away(self, block: BlockPolicy) -> bool:
        length, bits = _place(ipaddress.ip_network(block.target.value))
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


def _place(network: Network) -> tuple[_Length, int]:
    bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
    return (network.version, network.prefixlen), bits
