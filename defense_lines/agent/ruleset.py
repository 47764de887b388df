"""Our table in the kernel: how it is stated in nft commands, and how it is read back.

One table of family inet holds:

- `orders`, the order book, where the kernel is the record of what was ordered and no file is: one element for each
  order, with its own timeout, which alone says when it ends; its comment is `ID NETWORK`. No rule reads it.
- `ipv4_LEN` and `ipv6_LEN`, one hash set for each prefix length in use: the networks that are dropped, each with a
  timeout and with the id of the order that ends last as its comment. Networks of different length are in different
  sets, so ranges may overlap freely, which one interval set refuses.
- `ingress`, a base chain that drops by source before anything is tracked or accepted: hook prerouting, priority -310,
  so that local and forwarded packets and every packet of an established flow are judged.

Every transaction states the whole frame (table, sets, chain, rules) again: if it succeeds, what it added is enforced.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from defense_lines.agent.elements import Element
from defense_lines.agent.libnftables import Answer, NftError
from defense_lines.agent.orders import Network, Order, OrderBook

PRIORITY = -310  # before raw (-300) and conntrack (-200)
MAX_TIMEOUT = 10 * 365 * 86_400_000  # milliseconds
TICKS = 20  # milliseconds; the kernel counts in ticks of up to 10 ms, and rounds down both now and the timeout
TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
TABLE_NAME_RULE = "a letter, then up to 31 letters, digits and underscores"
Field = Literal["saddr", "daddr"]
Length = tuple[int, int]  # IP version, prefix length

_CHAIN = "ingress"
BOOK = "orders"
_COUNTER = "dropped"
_BLOCK_ID = re.compile(r"b-[0-9a-f]{16}")


class Change(msgspec.Struct, frozen=True):
    """One element of one set, as it is to be: there for a time, or gone."""

    set: str
    value: str
    timeout: int = 0  # milliseconds; 0 for gone
    comment: str = ""

    def element(self) -> str:
        """The element with what is known of it."""
        comment = f' comment "{self.comment}"' if self.comment else ""
        return f"{self.value} timeout {_duration(self.timeout or 1000)}{comment}"


class Ruleset:
    """The commands for one table. `fields` are the addresses of a packet that are looked up."""

    def __init__(self, table: str, fields: Sequence[Field] = ("saddr",), book: bool = True) -> None:
        """`book`: whether the table holds the order book. Raises ValueError for a name that cannot be a table's."""
        if not TABLE_NAME.fullmatch(table):
            raise ValueError(f"table {table!r}: {TABLE_NAME_RULE}")
        self._table = f"inet {table}"
        self._fields = tuple(fields)
        self._book = book

    def listing(self) -> str:
        """Ask for everything in the table."""
        return f"list table {self._table}"

    def of_table(self, answers: Iterable[Answer]) -> list[Answer]:
        """Those of a listing of all tables that are about this one."""
        return [answer for answer in answers for inner in answer.values() if self._is_ours(inner)]

    def deletion(self) -> list[str]:
        """Take the table away, whether or not it is there."""
        return [f"add table {self._table}", f"delete table {self._table}"]

    def frame(self, lengths: Iterable[Length]) -> list[str]:
        """State table, sets, chain and rules; idempotent, elements stay."""
        lengths = sorted(lengths)
        hook = f"type filter hook prerouting priority {PRIORITY}; policy accept;"
        return [
            f"add table {self._table}",
            f"add counter {self._table} {_COUNTER}",
            *self._book_set(),
            *(self._set(set_name(length), f"ipv{length[0]}_addr") for length in lengths),
            f"add chain {self._table} {_CHAIN} {{ {hook} }}",
            f"flush chain {self._table} {_CHAIN}",
            *(
                f"add rule {self._table} {_CHAIN} {_lookup(length, field)} counter name {_COUNTER} drop"
                for length in lengths
                for field in self._fields
            ),
        ]

    def rules(self, length: Length) -> Iterator[list[Answer]]:
        """The expressions, as libnftables lists them, of each rule that must stand for this length."""
        for field in self._fields:
            yield [_match(length, field), {"counter": _COUNTER}, {"drop": None}]

    def put(self, order: Order, now: float) -> Change:
        """Write one order into the order book."""
        return Change(BOOK, _key(order.id), _remaining(order, now), _entry(order))

    def drop(self, identity: str) -> Change:
        """Strike one order from the order book, whether or not it is there."""
        return Change(BOOK, _key(identity))

    def enforce(self, network: Network, last: Order | None, now: float) -> Change:
        """Drop packets of exactly this network for as long as its last order lives, or not at all."""
        name, value = set_name(_length(network)), str(network.network_address)
        return Change(name, value, _remaining(last, now), last.id) if last else Change(name, value)

    def write(self, changes: Iterable[Change], fresh: bool = False) -> list[str]:
        """Make the changes, of which no two are to one element; whatever is there already, or where nothing is."""
        # Kernels before 6.12 ignore the timeout of an element that is there, and deleting one that has just expired
        # fails the transaction: so add, delete, add. Many elements go in one command: many commands would be slow.
        sets: dict[str, list[Change]] = {}
        for change in changes:
            sets.setdefault(change.set, []).append(change)
        commands: list[str] = []
        for name, found in sets.items():
            standing = [change.element() for change in found if change.timeout]
            if fresh:
                commands.append(self._elements("add", name, standing))
                continue
            commands.append(self._elements("add", name, [change.element() for change in found]))
            commands.append(self._elements("delete", name, [change.value for change in found]))
            commands += [self._elements("add", name, standing)] if standing else []
        return commands

    def _is_ours(self, listed: Any) -> bool:
        return isinstance(listed, dict) and f"{listed.get('family')} {listed.get('table')}" == self._table

    def _elements(self, verb: str, name: str, elements: list[str]) -> str:
        return f"{verb} element {self._table} {name} {{ {', '.join(elements)} }}"

    def _book_set(self) -> list[str]:
        """One that is left of an older agent goes."""
        made = self._set(BOOK, "mark . mark")
        return [made] if self._book else [made, f"delete set {self._table} {BOOK}"]

    def _set(self, name: str, kind: str) -> str:
        return f"add set {self._table} {name} {{ type {kind}; flags timeout; }}"


class Standing(msgspec.Struct, frozen=True):
    """What was read back from the kernel, but for the sets' elements."""

    sets: frozenset[Length]  # prefix lengths that have a set
    rules: tuple[Any, ...]  # expressions of the rules of a chain that is hooked as it must be

    def reads(self, ruleset: Ruleset, length: Length) -> bool:
        """Whether packets of what is in the set of a length are dropped."""
        return all(rule in self.rules for rule in ruleset.rules(length))


class _Set(msgspec.Struct):
    name: str


class _Chain(msgspec.Struct):
    name: str
    hook: str = ""
    prio: int | str = ""
    type: str = ""

    def is_ours(self) -> bool:
        return (self.name, self.hook, self.prio, self.type) == (_CHAIN, "prerouting", PRIORITY, "filter")


class _Rule(msgspec.Struct):
    chain: str
    expr: list[Any] = []


class _Listed(msgspec.Struct):
    """One object of a listing, of the kinds that matter here."""

    set: _Set | None = None
    chain: _Chain | None = None
    rule: _Rule | None = None


def read(answers: Sequence[Answer]) -> Standing:
    """Make sense of the listing of our table; what is not ours in it is passed over. Raises NftError if it is none."""
    try:
        listed = msgspec.convert(answers, list[_Listed])
    except msgspec.ValidationError as error:
        raise NftError(f"libnftables listed what cannot be: {error}") from error
    rules = [found.rule.expr for found in listed if found.rule and found.rule.chain == _CHAIN]
    hooked = any(found.chain and found.chain.is_ours() for found in listed)
    return Standing(
        sets=frozenset(LENGTHS[found.set.name] for found in listed if found.set and found.set.name in LENGTHS),
        rules=_effective(rules) if hooked else (),
    )


def lengths(book: OrderBook) -> set[Length]:
    """Prefix lengths that the book's orders need."""
    return {_length(network) for network in book.networks()}


def entry(element: Element, now: float) -> Order | None:
    """The order in an element of the order book; None if it is none of ours."""
    if element.left is None:
        return None
    try:
        identity, network, *_ = element.comment.decode().split(" ")
        return Order.parse(identity, network, now + element.left)
    except ValueError:
        return None


def _effective(rules: list[Any]) -> tuple[Any, ...]:
    """Rules up to the first that is not one of ours: an accept put before them would make them idle."""
    for position, expression in enumerate(rules):
        if not (isinstance(expression, list) and expression and expression[-1] == {"drop": None}):
            return tuple(rules[:position])
    return tuple(rules)


def _lookup(length: Length, field: Field) -> str:
    """The match of a rule in nft's language; `_match` is the same as it is listed."""
    mask = "" if _is_whole(length) else f" & {_mask(length)}"
    return f"{_protocol(length)} {field}{mask} @{set_name(length)}"


def _match(length: Length, field: Field) -> Answer:
    address: Any = {"payload": {"protocol": _protocol(length), "field": field}}
    if not _is_whole(length):
        address = {"&": [address, _mask(length)]}
    return {"match": {"op": "==", "left": address, "right": "@" + set_name(length)}}


def _protocol(length: Length) -> str:
    return "ip" if length[0] == 4 else "ip6"


def _is_whole(length: Length) -> bool:
    return length in ((4, 32), (6, 128))


def _mask(length: Length) -> str:
    version, prefix = length
    bits = 32 if version == 4 else 128
    mask = (1 << bits) - (1 << bits - prefix)
    return str(ipaddress.IPv4Address(mask) if version == 4 else ipaddress.IPv6Address(mask))


def _length(network: Network) -> Length:
    return network.version, network.prefixlen


def set_name(length: Length) -> str:
    """The set of the prefixes of one length."""
    return f"ipv{length[0]}_{length[1]}"


LENGTHS: dict[str, Length] = {
    set_name((version, prefix)): (version, prefix)
    for version, bits in ((4, 32), (6, 128))
    for prefix in range(bits + 1)
}


def _key(identity: str) -> str:
    """The order book's key: the sixteen hex digits of a block id, or a hash of any other id."""
    if _BLOCK_ID.fullmatch(identity):
        digest = bytes.fromhex(identity[2:])
    else:
        digest = hashlib.blake2b(identity.encode(), digest_size=8).digest()
    return f"{int.from_bytes(digest[:4])} . {int.from_bytes(digest[4:])}"


def _entry(order: Order) -> str:
    return f"{order.id} {order.network}"


def _duration(milliseconds: int) -> str:
    """As nft reads it: no number in it may have more than eight digits."""
    seconds, left = divmod(milliseconds, 1000)
    days, seconds = divmod(seconds, 86_400)
    return f"{days}d{seconds}s{left}ms"


def _remaining(order: Order, now: float) -> int:
    """Milliseconds: a little more than is left, for a block never ends early."""
    return min(MAX_TIMEOUT, max(1, math.ceil((order.expires - now) * 1000)) + TICKS)
