"""The orders that stand on one firewall: who is blocked until when, and which order answers for a network.

Two orders may name the same network, or one may hold the other. Each network that is named has one element in the
kernel, which lives as long as the last of its orders; networks of different length are apart in the kernel, so that
the end of one never ends another. Pure: no clock, no I/O.
"""

from __future__ import annotations

import heapq
import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from policy import BlockPolicy

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ID = re.compile(r"[A-Za-z0-9._:/-]{1,48}")  # with network and time it has to fit a comment of 128 bytes


class InvalidOrder(ValueError):
    """The order cannot stand on a firewall; the message says why."""


class Order(msgspec.Struct, frozen=True):
    """Packets from one network are dropped until a moment. Raises InvalidOrder where no firewall could hold it.

    Nothing in an order can be taken for a part of nft's language.
    """

    id: str
    network: Network  # an address is a network of one
    expires: float  # Unix seconds

    def __post_init__(self) -> None:
        """Check what may come from outside."""
        if not ID.fullmatch(self.id):
            raise InvalidOrder(f"id {self.id[:64]!r}: 1 to 48 of A-Z a-z 0-9 . _ : / -")
        if not 0 < self.expires < 1e11:
            raise InvalidOrder(f"expires {self.expires!r}: not a time")
        if getattr(self.network.network_address, "scope_id", None) is not None:
            raise InvalidOrder(f"target {str(self.network)[:64]!r}: a zone is for one host's own links")

    @classmethod
    def of(cls, block: BlockPolicy) -> Order:
        """The order of a block on an address or a range. Raises InvalidOrder."""
        if block.target.kind not in ("address", "range"):
            raise InvalidOrder(f"a firewall knows no {block.target.kind}")
        return cls.parse(block.id, block.target.value, block.expires)

    @classmethod
    def parse(cls, identity: str, network: str, expires: float) -> Order:
        """Read what came from outside. Raises InvalidOrder."""
        try:
            read = ipaddress.ip_network(network)
        except ValueError as error:
            raise InvalidOrder(f"target {network[:64]!r}: {error}") from error
        return cls(identity, read, expires)


class OrderBook:
    """Every order that stands, by id and by network."""

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        self._orders: dict[str, Order] = {}
        self._networks: dict[Network, dict[str, Order]] = {}
        self._ends: list[tuple[float, str]] = []
        for order in orders:
            self.put(order)

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def get(self, identity: str) -> Order | None:
        """The order with this id, if it stands."""
        return self._orders.get(identity)

    def put(self, order: Order) -> None:
        """Let it stand, in the place of one with the same id."""
        self.remove(order.id)
        self._orders[order.id] = order
        self._networks.setdefault(order.network, {})[order.id] = order
        heapq.heappush(self._ends, (order.expires, order.id))
        if len(self._ends) > 2 * len(self._orders) + 1_000:  # ends of orders that were replaced or removed
            self._ends = sorted((order.expires, order.id) for order in self)

    def remove(self, identity: str) -> Order | None:
        """Let it stand no longer; the order, or None if it did not."""
        order = self._orders.pop(identity, None)
        if order is not None:
            named = self._networks[order.network]
            del named[identity]
            if not named:
                del self._networks[order.network]
        return order

    def expire(self, now: float) -> list[Order]:
        """Forget what has ended, and return it. The kernel forgets by itself."""
        ended: list[Order] = []
        while self._ends and self._ends[0][0] <= now:
            _, identity = heapq.heappop(self._ends)
            order = self._orders.get(identity)
            if order is not None and order.expires <= now:
                self.remove(identity)
                ended.append(order)
        return ended

    def last(self, network: Network) -> Order | None:
        """Of the orders on exactly this network, the one that ends last."""
        named = self._networks.get(network)
        return max(named.values(), key=_end) if named else None

    def networks(self) -> Iterable[Network]:
        """Every network that an order names."""
        return self._networks.keys()


def _end(order: Order) -> Any:
    return order.expires, order.id
