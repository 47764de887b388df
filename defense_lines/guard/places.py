"""Where addresses lie that were seen, so that a range finds those within it, whatever else was seen."""

from __future__ import annotations

from collections.abc import Iterator

from defense_lines.guard.ordered import Ordered
from defense_lines.guard.spans import span
from policy import InvalidTarget, Target


class Places:
    """Addresses by number. A caller over a Unix socket has none: no range can hit it."""

    def __init__(self) -> None:
        self._order = Ordered()
        self._texts: dict[int, str] = {}

    def add(self, address: str) -> None:
        """An address, in its canonical text, that is not there."""
        number = _number(address)
        if number is not None:
            self._order.add(number)
            self._texts[number] = address

    def remove(self, address: str) -> None:
        """An address that is there."""
        number = _number(address)
        if number is not None:
            self._order.remove(number)
            del self._texts[number]

    def within(self, network: str) -> Iterator[str]:
        """Those inside a range, in order. Raises ValueError."""
        wanted = span(network)
        return (self._texts[number] for number in self._order.within(wanted.first, wanted.last))

    def count(self, network: str) -> int:
        """How many are inside a range. Raises ValueError."""
        wanted = span(network)
        return self._order.count(wanted.first, wanted.last)


def canonical(address: str) -> str:
    """An address as blocks name it; what is none stays as it is."""
    if ":" not in address:
        return address
    try:
        return Target.of("address", address.partition("%")[0]).value
    except InvalidTarget:
        return address


def _number(address: str) -> int | None:
    try:
        return span(address).first
    except ValueError:
        return None
