"""The host firewall: applies and revokes orders in one table of our own, and says which are enforced.

The kernel keeps everything: the drops, the order book and the time that each has left. If the agent dies, what stands
goes on standing and ends on time; a new agent reads the order book back and goes on.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from defense_lines.agent.elements import Element, elements
from defense_lines.agent.libnftables import Nftables, NftError
from defense_lines.agent.orders import Network, Order, OrderBook
from defense_lines.agent.prefix import Prefix
from defense_lines.agent.ruleset import BOOK, Field, Length, Ruleset, Standing, entry, lengths, read, set_name
from defense_lines.line import Outcome


class Result(msgspec.Struct, frozen=True):
    """What became of one order."""

    order: str  # its id
    outcome: Outcome
    detail: str = ""


class Firewall:
    """One nftables table. Calls block for as long as the kernel takes: about 0.3 ms for one order, 30 us each in bulk.

    Orders end, and `now` is, in seconds by any one clock that nobody sets. Not for two threads at once, except for
    `active`, which may run beside the others.
    """

    def __init__(self, table: str, fields: Sequence[Field] = ("saddr",)) -> None:
        """Raises NftablesUnavailable, or ValueError for a name that cannot be a table's."""
        self._table = table
        self._ruleset = Ruleset(table, fields)
        self._writer = Nftables()
        self._reader = Nftables(terse=True)  # a context of its own: a listing keeps no order waiting
        self._book = OrderBook()
        self._lengths: set[Length] = set()

    def ensure(self, now: float) -> None:
        """Read back what stands and state the frame of the table. Idempotent. Raises NftError."""
        standing = self._standing()
        self._book = OrderBook(self._ordered(now))
        self._lengths = set(standing.sets) | lengths(self._book)
        self._writer.run(self._ruleset.frame(self._lengths))

    def apply(self, orders: Sequence[Order], now: float) -> list[Result]:
        """Drop packets from these networks until their orders end; all or none. A repeated order is put again."""
        live = [order for order in orders if order.expires > now]
        failure = self._change(live, (), now) if live else ""
        return [
            Result(order.id, "expired")
            if order.expires <= now
            else Result(order.id, "failed" if failure else "enforced", failure)
            for order in orders
        ]

    def revoke(self, identities: Sequence[str], now: float) -> list[Result]:
        """End these orders now; all or none. An unknown id is lifted too."""
        known = [identity for identity in dict.fromkeys(identities) if self._book.get(identity)]
        failure = self._change((), known, now) if known else ""
        failed = frozenset(known if failure else ())
        return [
            Result(identity, "failed", failure) if identity in failed else Result(identity, "lifted")
            for identity in identities
        ]

    def active(self, now: float) -> list[Order]:
        """The orders that the kernel enforces at this moment: in its book, in its set, and a rule reads it.

        Read from the kernel, ends too. Raises NftError.
        """
        standing = self._standing()
        enforced = [length for length in standing.sets if standing.reads(self._ruleset, length)]
        dropped = {prefix for length in enforced for prefix in self._dropped(length)}
        return [order for order in self._ordered(now) if _prefix(order.network) in dropped]

    def orders(self) -> list[Order]:
        """The order book as last known; after `ensure`, what the kernel holds."""
        return list(self._book)

    def remove(self) -> None:
        """Take the whole table away. Raises NftError."""
        self._writer.run(self._ruleset.deletion())
        self._book, self._lengths = OrderBook(), set()

    def close(self) -> None:
        """Free what libnftables holds; the kernel goes on enforcing."""
        self._writer.close()
        self._reader.close()

    def _standing(self) -> Standing:
        # A listing of all tables is the one for which libnftables does not ask the kernel for any element.
        return read(self._ruleset.of_table(self._reader.run(["list ruleset"])))

    def _ordered(self, now: float) -> Iterator[Order]:
        """The kernel's order book."""
        began = time.monotonic()  # a long listing tells at its end what is left at its end
        for element in self._elements(BOOK):
            order = entry(element, now + time.monotonic() - began)
            if order is not None:
                yield order

    def _dropped(self, length: Length) -> Iterator[Prefix]:
        tail = bytes((length[1],))
        return (element.key + tail for element in self._elements(set_name(length)))

    def _elements(self, name: str) -> Iterator[Element]:
        try:
            yield from elements(self._table, name)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise NftError(f"listing {name}: {error.strerror}") from error

    def _change(self, put: Sequence[Order], strike: Sequence[str], now: float) -> str:
        """Change the book and the kernel together; the failure in words, with both as they were."""
        self._book.expire(now)
        identities = [order.id for order in put] + list(strike)
        before = {identity: self._book.get(identity) for identity in identities}
        touched = {order.network for order in (*put, *before.values()) if order is not None}
        self._restate(put, strike)
        self._lengths |= {(network.version, network.prefixlen) for network in touched}
        changes = [self._ruleset.enforce(network, self._book.last(network), now) for network in touched]
        for identity in before:
            order = self._book.get(identity)
            changes.append(self._ruleset.put(order, now) if order else self._ruleset.drop(identity))
        return self._commit(self._ruleset.frame(self._lengths) + self._ruleset.write(changes), before)

    def _commit(self, commands: Sequence[str], before: dict[str, Order | None]) -> str:
        try:
            self._writer.run(commands)
        except NftError as error:
            self._restate([order for order in before.values() if order], [key for key in before if not before[key]])
            return str(error)
        return ""

    def _restate(self, put: Iterable[Order], strike: Iterable[str]) -> None:
        for order in put:
            self._book.put(order)
        for identity in strike:
            self._book.remove(identity)


def _prefix(network: Network) -> Prefix:
    return network.network_address.packed + bytes((network.prefixlen,))
