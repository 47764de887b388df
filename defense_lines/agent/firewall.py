"""The host firewall: applies and revokes orders in one table of our own, and says which are enforced.

The kernel keeps everything: the drops, the order book and the time that each has left. If the agent dies, what stands
goes on standing and ends on time; a new agent reads the order book back and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defense_lines.agent.libnftables import Nftables, NftError, NoSuchTable
from defense_lines.agent.orders import Order, OrderBook
from defense_lines.agent.ruleset import Field, Length, Ruleset, Standing, lengths, read
from defense_lines.line import Outcome


class Result(msgspec.Struct, frozen=True):
    """What became of one order."""

    order: str  # its id
    outcome: Outcome
    detail: str = ""


class Firewall:
    """One nftables table. Calls block for as long as the kernel takes: about 0.3 ms for one order, 30 us each in bulk.

    Not for two threads at once, except for `active`, which may run beside the others.
    """

    def __init__(self, table: str, fields: Sequence[Field] = ("saddr",)) -> None:
        """Raises NftablesUnavailable, or ValueError for a name that cannot be a table's."""
        self._ruleset = Ruleset(table, fields)
        self._writer = Nftables()
        self._reader = Nftables()  # a context of its own: a long listing keeps no order waiting
        self._book = OrderBook()
        self._lengths: set[Length] = set()

    def ensure(self, now: float) -> None:
        """Read back what stands and state the frame of the table. Idempotent. Raises NftError."""
        standing = self._read()
        self._book = OrderBook(standing.orders)
        self._book.expire(now)
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

    def active(self, now: float) -> list[str]:
        """Ids of the orders that the kernel enforces at this moment, read from the kernel. Raises NftError."""
        return self._read().enforced(self._ruleset, now)

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

    def _read(self) -> Standing:
        try:
            return read(self._reader.run([self._ruleset.listing()]))
        except NoSuchTable:
            return read(())

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
