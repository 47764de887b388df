"""The book is every order that stands on one line: which prefix, until when, and up to where the line was told. Pure.

Two orders may name the same prefix; it is blocked until the last of them ends.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from defense_lines.agent.orders import InvalidOrder
from defense_lines.agent.prefix import Prefix
from defense_lines.line import Digest

LATEST: Final = 1e11  # Unix seconds; what ends later is no time
_ID: Final = re.compile(r"b-[0-9a-f]{16}")
_SLACK: Final = 1_000  # ends of orders that are gone, beyond as many as there are left
_WRAP: Final = 1 << 64


class Standing(msgspec.Struct, frozen=True, gc=False, order=True):
    """One order; of two, the one that ends later is greater."""

    expires: float  # Unix seconds by the gateway's clock
    id: str
    prefix: Prefix


class Book:
    """Every order that stands. One value for each, in as few tables as will do: a host may have a hundred thousand."""

    def __init__(self) -> None:
        self.cursor = 0  # the line was told everything up to this entry of the ledger
        self._orders: dict[str, Standing] = {}
        self._last: dict[Prefix, Standing] = {}  # of each prefix, the order that ends last
        self._others: dict[Prefix, set[str]] = {}  # and the others, if there are any
        self._ends: list[Standing] = []  # heap
        self._sum = 0

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[tuple[str, Standing]]:
        return iter(self._orders.items())

    def misplaced(self, ends: Mapping[Prefix, float], offset: float, apart: float) -> list[Prefix]:
        """Prefixes that are blocked, and of which `ends` says nothing, or an end that is `apart` seconds or more from
        that of the order that ends last; `ends` are in seconds of a clock to which `offset` is added for ours. All that
        stands is compared again and again: one pass, and nothing made of what is in its place.
        """
        end, early, late = ends.get, -apart - offset, apart - offset
        return [each for each, last in self._last.items() if not early < end(each, math.inf) - last.expires < late]

    def unblocked(self, prefixes: Collection[Prefix]) -> set[Prefix]:
        """Of these, those that nothing blocks."""
        return {prefix for prefix in prefixes if prefix not in self._last}

    def blocked(self, prefix: Prefix) -> tuple[str, float] | None:
        """The order that ends last for a prefix, and when; None if none stands."""
        last = self._last.get(prefix)
        return (last.id, last.expires) if last is not None else None

    def digest(self) -> Digest:
        """Of the ids of all that stand."""
        return Digest(len(self._orders), self._sum)

    def put(self, block_id: str, prefix: Prefix, expires: float) -> Prefix | None:
        """Let an order stand, in place of one with its id; the prefix that this one no longer blocks, if it is another.

        Raises InvalidOrder for an id or an end that is none.
        """
        if not _ID.fullmatch(block_id):
            raise InvalidOrder(f"id {block_id[:64]!r}: must be b- and 16 hex digits")
        if not 0 < expires < LATEST:
            raise InvalidOrder(f"expires {expires!r}: not a time")
        before = self.strike(block_id) if block_id in self._orders else None
        self._orders[block_id] = order = Standing(expires, block_id, prefix)
        self._sum = (self._sum + int(block_id[2:], 16)) % _WRAP
        heapq.heappush(self._ends, order)
        last = self._last.setdefault(prefix, order)
        if last is not order:
            self._join(last, order)
        return before if before != prefix else None

    def strike(self, block_id: str) -> Prefix | None:
        """Let it stand no longer; the prefix that it blocked, None if it did not stand."""
        order = self._orders.pop(block_id, None)
        if order is None:
            return None
        self._sum = (self._sum - int(block_id[2:], 16)) % _WRAP
        self._leave(order)
        if len(self._ends) > 2 * len(self._orders) + _SLACK:
            self._ends = sorted(self._orders.values())
        return order.prefix

    def expire(self, now: float) -> None:
        """Forget what has ended by the gateway's clock. The actuator ends it by itself."""
        while self._ends and self._ends[0].expires <= now:
            order = heapq.heappop(self._ends)
            if self._orders.get(order.id) is order:  # else it was lifted, or told again for another time
                self.strike(order.id)

    def _join(self, last: Standing, order: Standing) -> None:
        if order.expires > last.expires:
            self._last[order.prefix], order = order, last
        self._others.setdefault(order.prefix, set()).add(order.id)

    def _leave(self, order: Standing) -> None:
        prefix = order.prefix
        others = self._others.get(prefix)
        if others is None:
            del self._last[prefix]
            return
        others.discard(order.id)
        if self._last[prefix] is order:
            self._last[prefix] = last = max(self._orders[found] for found in others)
            others.remove(last.id)
        if not others:
            del self._others[prefix]
