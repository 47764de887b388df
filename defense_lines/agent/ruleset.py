"""Our table in the kernel as libnftables JSON: how it is stated, and how it is read back.

One table of family inet holds:

- `orders`, the order book: one element for each order, with its own timeout; its comment is `ID NETWORK EXPIRES`.
  No rule reads it; it makes the kernel the record of what was ordered, so that the agent keeps no file.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from defense_lines.agent.libnftables import Command
from defense_lines.agent.orders import InvalidOrder, Network, Order, OrderBook

PRIORITY = -310  # before raw (-300) and conntrack (-200)
MAX_TIMEOUT = 10 * 365 * 86_400  # seconds; libnftables reads a 32-bit number
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
Field = Literal["saddr", "daddr"]
Length = tuple[int, int]  # IP version, prefix length

_CHAIN = "ingress"
_BOOK = "orders"
_COUNTER = "dropped"
_BLOCK_ID = re.compile(r"b-[0-9a-f]{16}")
_SET = re.compile(r"ipv([46])_(\d{1,3})")


class Change(msgspec.Struct, frozen=True):
    """One element of one set, as it is to be: there for a time, or gone."""

    set: str
    value: Any
    timeout: int = 0  # seconds; 0 for gone
    comment: str = ""

    def element(self) -> Command:
        """The element with what is known of it."""
        comment = {"comment": self.comment} if self.comment else {}
        return {"elem": {"val": self.value, "timeout": self.timeout or 1, **comment}}


class Ruleset:
    """The commands for one table. `fields` are the addresses of a packet that are looked up."""

    def __init__(self, table: str, fields: Sequence[Field] = ("saddr",)) -> None:
        if not NAME.fullmatch(table):
            raise ValueError(f"table {table!r}: a letter, then up to 31 letters, digits and underscores")
        self._table: Command = {"family": "inet", "table": table}
        self._whole: Command = {"family": "inet", "name": table}
        self._fields = tuple(fields)

    def listing(self) -> Command:
        """Ask for everything in the table."""
        return {"list": {"table": self._whole}}

    def deletion(self) -> list[Command]:
        """Take the table away, whether or not it is there."""
        return [{"add": {"table": self._whole}}, {"delete": {"table": self._whole}}]

    def frame(self, lengths: Iterable[Length]) -> list[Command]:
        """State table, sets, chain and rules; idempotent, elements stay."""
        lengths = sorted(lengths)
        chain = {**self._table, "name": _CHAIN}
        hook = {"type": "filter", "hook": "prerouting", "prio": PRIORITY, "policy": "accept"}
        return [
            {"add": {"table": self._whole}},
            {"add": {"counter": {**self._table, "name": _COUNTER}}},
            self._set(_BOOK, ["mark", "mark"]),
            *(self._set(_set_name(length), f"ipv{length[0]}_addr") for length in lengths),
            {"add": {"chain": {**chain, **hook}}},
            {"flush": {"chain": chain}},
            *(
                {"add": {"rule": {**self._table, "chain": _CHAIN, "expr": expression}}}
                for expression in self.rules(lengths)
            ),
        ]

    def rules(self, lengths: Iterable[Length]) -> Iterator[list[Command]]:
        """The expressions of each rule that must stand for these lengths."""
        for length in sorted(lengths):
            for field in self._fields:
                yield [_match(length, field), {"counter": _COUNTER}, {"drop": None}]

    def put(self, order: Order, now: float) -> Change:
        """Write one order into the order book."""
        return Change(_BOOK, _key(order.id), _remaining(order, now), _entry(order))

    def drop(self, identity: str) -> Change:
        """Strike one order from the order book, whether or not it is there."""
        return Change(_BOOK, _key(identity))

    def enforce(self, network: Network, last: Order | None, now: float) -> Change:
        """Drop packets of exactly this network for as long as its last order lives, or not at all."""
        name, value = _set_name(_length(network)), str(network.network_address)
        return Change(name, value, _remaining(last, now), last.id) if last else Change(name, value)

    def write(self, changes: Iterable[Change]) -> list[Command]:
        """Make the changes, of which no two are to one element; whatever is there already."""
        # Kernels before 6.12 ignore the timeout of an element that is there, and deleting one that has just expired
        # fails the transaction: so add, delete, add. Many elements go in one command: many commands would be slow.
        sets: dict[str, list[Change]] = {}
        for change in changes:
            sets.setdefault(change.set, []).append(change)
        commands: list[Command] = []
        for name, found in sets.items():
            standing = [change.element() for change in found if change.timeout]
            commands.append(self._elements("add", name, [change.element() for change in found]))
            commands.append(self._elements("delete", name, [change.value for change in found]))
            commands += [self._elements("add", name, standing)] if standing else []
        return commands

    def _elements(self, verb: str, name: str, elements: list[Any]) -> Command:
        return {verb: {"element": {**self._table, "name": name, "elem": elements}}}

    def _set(self, name: str, kind: str | list[str]) -> Command:
        return {"add": {"set": {**self._table, "name": name, "type": kind, "flags": ["timeout"]}}}


class Standing(msgspec.Struct, frozen=True):
    """What was read back from the kernel."""

    orders: tuple[Order, ...]  # the order book
    dropped: frozenset[Network]  # networks in the sets
    sets: frozenset[Length]  # prefix lengths that have a set
    rules: tuple[Any, ...]  # expressions of the rules of a chain that is hooked as it must be

    def enforced(self, ruleset: Ruleset, now: float) -> list[str]:
        """Ids of the orders whose packets are dropped at this moment: in the book, in its set, and a rule reads it."""
        length_stands: dict[Length, bool] = {}
        for length in self.sets:
            length_stands[length] = all(rule in self.rules for rule in ruleset.rules((length,)))
        return [
            order.id
            for order in self.orders
            if order.expires > now and order.network in self.dropped and length_stands.get(_length(order.network))
        ]


def read(answers: Iterable[Command]) -> Standing:
    """Make sense of the listing of our table; what is not ours in it is passed over."""
    orders: list[Order] = []
    networks: set[Network] = set()
    sets: set[Length] = set()
    rules: list[Any] = []
    hooked = False
    for answer in answers:
        if "set" in answer:
            _read_set(answer["set"], orders, networks, sets)
        elif "chain" in answer:
            hooked |= _is_hooked(answer["chain"])
        elif "rule" in answer and answer["rule"].get("chain") == _CHAIN:
            rules.append(answer["rule"].get("expr"))
    return Standing(tuple(orders), frozenset(networks), frozenset(sets), _effective(rules) if hooked else ())


def lengths(book: OrderBook) -> set[Length]:
    """Prefix lengths that the book's orders need."""
    return {_length(network) for network in book.networks()}


def _read_set(found: Mapping[str, Any], orders: list[Order], networks: set[Network], sets: set[Length]) -> None:
    if found.get("name") == _BOOK:
        orders.extend(order for order in map(_order, found.get("elem", ())) if order is not None)
    elif match := _SET.fullmatch(str(found.get("name"))):
        version, prefix = int(match[1]), int(match[2])
        sets.add((version, prefix))
        networks.update(_networks(found.get("elem", ()), prefix))


def _networks(elements: Iterable[Any], prefix: int) -> Iterator[Network]:
    for element in elements:
        value = element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
        try:
            yield ipaddress.ip_network(f"{value}/{prefix}")
        except ValueError:
            continue  # somebody else's element


def _order(element: Any) -> Order | None:
    comment = element["elem"].get("comment", "") if isinstance(element, dict) and "elem" in element else ""
    try:
        identity, network, expires = comment.split(" ")
        return Order.parse(identity, network, float(expires))
    except (InvalidOrder, ValueError):
        return None


def _is_hooked(chain: Mapping[str, Any]) -> bool:
    shape = (chain.get("name"), chain.get("hook"), chain.get("prio"), chain.get("type"))
    return shape == (_CHAIN, "prerouting", PRIORITY, "filter")


def _effective(rules: list[Any]) -> tuple[Any, ...]:
    """Rules up to the first that is not one of ours: an accept put before them would make them idle."""
    for position, expression in enumerate(rules):
        if not (isinstance(expression, list) and expression and expression[-1] == {"drop": None}):
            return tuple(rules[:position])
    return tuple(rules)


def _match(length: Length, field: Field) -> Command:
    version, prefix = length
    address: Any = {"payload": {"protocol": "ip" if version == 4 else "ip6", "field": field}}
    if prefix < (32 if version == 4 else 128):
        address = {"&": [address, _mask(length)]}
    return {"match": {"op": "==", "left": address, "right": "@" + _set_name(length)}}


def _mask(length: Length) -> str:
    version, prefix = length
    bits = 32 if version == 4 else 128
    mask = (1 << bits) - (1 << bits - prefix)
    return str(ipaddress.IPv4Address(mask) if version == 4 else ipaddress.IPv6Address(mask))


def _length(network: Network) -> Length:
    return network.version, network.prefixlen


def _set_name(length: Length) -> str:
    return f"ipv{length[0]}_{length[1]}"


def _key(identity: str) -> Command:
    """The order book's key: the sixteen hex digits of a block id, or a hash of any other id."""
    if _BLOCK_ID.fullmatch(identity):
        digest = bytes.fromhex(identity[2:])
    else:
        digest = hashlib.blake2b(identity.encode(), digest_size=8).digest()
    return {"concat": [int.from_bytes(digest[:4]), int.from_bytes(digest[4:])]}


def _entry(order: Order) -> str:
    return f"{order.id} {order.network} {order.expires!r}"


def _remaining(order: Order, now: float) -> int:
    """Whole seconds, rounded up: libnftables's JSON knows no fractions, and a block never ends early."""
    return min(MAX_TIMEOUT, max(1, math.ceil(order.expires - now)))
