"""Ranges by length of prefix: who holds an address is found with one look a length in use, however many there are."""

from __future__ import annotations

from collections.abc import Iterator

from defense_lines.guard.spans import Span

_BITS = 128


class Prefixes:
    """Keys under ranges, each range a whole prefix. A range may have many keys, and lie in another."""

    def __init__(self) -> None:
        self._lengths: dict[int, dict[int, set[str]]] = {}  # bits of host -> number of network -> keys

    def add(self, at: Span, key: str) -> None:
        """Put a key under a range."""
        bits, network = _place(at)
        self._lengths.setdefault(bits, {}).setdefault(network, set()).add(key)

    def discard(self, at: Span, key: str) -> None:
        """Take a key away; one that is not there is nothing."""
        bits, network = _place(at)
        networks = self._lengths.get(bits, {})
        keys = networks.get(network, set())
        keys.discard(key)
        if network in networks and not keys:
            del networks[network]
            if not networks:
                del self._lengths[bits]

    def holding(self, at: Span) -> Iterator[str]:
        """Keys of the ranges that hold all of an address or range."""
        own, _ = _place(at)
        for bits, networks in self._lengths.items():
            if bits >= own:
                yield from networks.get(at.first >> bits, ())

    def __bool__(self) -> bool:
        return bool(self._lengths)


def _place(at: Span) -> tuple[int, int]:
    bits = (at.last - at.first).bit_length()
    if bits > _BITS or at.first >> bits != at.last >> bits:
        raise ValueError("not a prefix")
    return bits, at.first >> bits
