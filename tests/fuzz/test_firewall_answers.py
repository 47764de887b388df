"""Hostile answers of libnftables and the kernel: a value that holds together, or an error with a name."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from defense_lines.agent import NftError, Order, conntrack, elements
from defense_lines.agent.libnftables import answers
from defense_lines.agent.ruleset import Ruleset, Standing, entry, read

ORDER = Order.parse("b-00000000000000aa", "198.51.100.0/24", 160.0)
RULESET = Ruleset("portcullis")
DEEP = b"[" * 60_000

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
words = st.sampled_from(
    ["set", "chain", "rule", "name", "elem", "val", "comment", "orders", "ipv4_24", "ipv4_99", "ingress", "hook"]
)
json_values = st.recursive(
    leaves | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=12), inner, max_size=4),
    max_leaves=15,
)


def listing() -> dict[str, Any]:
    """What libnftables says of a table in which one prefix length is dropped."""
    rule = next(RULESET.rules((4, 24)))
    hook = {"type": "filter", "hook": "prerouting", "prio": -310, "policy": "accept"}
    return {
        "nftables": [
            {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
            {"table": {"family": "inet", "name": "portcullis"}},
            {"set": {"name": "orders", "type": ["mark", "mark"]}},
            {"set": {"name": "ipv4_24", "type": "ipv4_addr"}},
            {"chain": {"name": "ingress", **hook}},
            {"rule": {"chain": "ingress", "expr": rule}},
        ]
    }


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """The listing with one part anywhere in it replaced, or taken away."""
    whole = listing()
    place: Any = whole
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 4)) == 0:
            break
        place = inner
    if draw(st.booleans()):
        del place[key]
    else:
        place[key] = draw(json_values)
    return msgspec.json.encode(whole)


def standing(output: bytes) -> Standing | None:
    try:
        return read(answers(output))
    except NftError:
        return None


def test_the_listing_is_read() -> None:
    found = standing(msgspec.json.encode(listing()))
    assert found is not None
    assert found.sets == {(4, 24)}
    assert found.reads(RULESET, (4, 24))
    assert not found.reads(RULESET, (4, 32))


@example(b'{"nftables":[{"set":{"name":"\xff"}}]}')
@example(b'{"nftables":[{"set":{"name":"orders","elem":[{"elem":{"comment":' + DEEP)
@example(b'{"nftables":[{"set":{"name":"ipv4_99"}}]}')
@given(st.binary(max_size=200) | json_values.map(msgspec.json.encode) | nearly())
def test_any_listing(output: bytes) -> None:
    """A Standing or NftError; of a Standing the frame can be stated, and nothing is enforced that no rule reads."""
    found = standing(output)
    if found is not None:
        RULESET.frame(found.sets)
        assert found.rules or not any(found.reads(RULESET, length) for length in found.sets)


def test_an_entry_of_the_order_book_is_read() -> None:
    for comment in (b"b-00000000000000aa 198.51.100.0/24", b"b-00000000000000aa 198.51.100.0/24 2000000000.0"):
        assert entry(elements.Element(bytes(8), 60.0, comment), 100.0) == ORDER
    assert entry(elements.Element(bytes(8), None, b"b-00000000000000aa 198.51.100.0/24"), 100.0) is None


@example(b"\xff", 1.0)
@example(b"b-1 fe80::1%eth0", 1.0)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.none() | st.floats(0, 1e13))
def test_any_entry(comment: bytes, left: float | None) -> None:
    """An order that could stand on a firewall, or none."""
    found = entry(elements.Element(bytes(8), left, comment), 100.0)
    if found is not None:
        RULESET.put(found, 100.0)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, 2, 1, 0) + payload + bytes(-len(payload) % 4)


def tracked(source: str) -> bytes:
    """A connection from this address as ctnetlink says it."""
    address = ipaddress.ip_address(source)
    inner = attribute(0x8001, attribute(1 if address.version == 4 else 3, address.packed))
    return message(0x100, struct.pack("=BBH", socket.AF_INET, 0, 0) + attribute(0x8001, inner) + attribute(12, b"1234"))


GOOD = tracked("198.51.100.7") + tracked("2001:db8::7") + message(3, bytes(4))


@st.composite
def nearly_netlink(draw: st.DrawFn) -> bytes:
    """A good datagram with up to three stretches of bytes replaced."""
    data = GOOD
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        data = data[:start] + draw(st.binary(max_size=8)) + data[start + draw(st.integers(0, 8)) :]
    return data


def test_the_datagram_is_read() -> None:
    entries, last = conntrack.read(GOOD)
    assert last
    sources = [entry.source for entry in entries]
    assert sources == [ipaddress.ip_address(text).packed for text in ("198.51.100.7", "2001:db8::7")]


@example(message(2, b""))
@example(message(2, struct.pack("=i", -(1 << 31))))
@example(message(2, struct.pack("=i", 5)))
@given(st.binary(max_size=200) | nearly_netlink())
def test_any_datagram(datagram: bytes) -> None:
    """Connections whose sources are addresses, or OSError with a number that has words."""
    try:
        entries, _ = conntrack.read(datagram)
    except OSError as error:
        assert error.errno  # noqa: PT017 - both outcomes are right
        return
    assert all(entry.source is None or len(entry.source) in (4, 16) for entry in entries)


def element(key: bytes, comment: bytes, extra: bytes = b"") -> bytes:
    """An element as the kernel lists it."""
    times = attribute(4, struct.pack(">Q", 60_000)) + extra + attribute(5, struct.pack(">Q", 59_000))
    userdata = attribute(6, bytes((0, len(comment) + 1)) + comment + b"\0") if comment else b""
    return attribute(1, attribute(1, attribute(1, key)) + times + userdata)


OURS = [element(bytes((10, 0, 0, last)), b"b-%016x" % last) for last in range(3)]


def elements_of(*parts: bytes) -> list[elements.Element]:
    return list(elements.read(memoryview(attribute(1, b"t\0") + attribute(3, b"".join(parts)))))


def test_elements_are_read_whatever_stands_between_them() -> None:
    want = [elements.Element(bytes((10, 0, 0, last)), 59.0, b"b-%016x" % last) for last in range(3)]
    assert elements_of(*OURS) == want
    foreign = element(bytes((10, 0, 0, 9)), b"")
    odd = element(bytes((10, 0, 0, 9)), b"b-0000000000000009", attribute(8, b""))
    assert elements_of(*OURS, foreign) == [*want, elements.Element(bytes((10, 0, 0, 9)), 59.0, b"")]
    assert elements_of(odd, *OURS)[1:] == want
    assert elements_of() == []


@st.composite
def nearly_elements(draw: st.DrawFn) -> bytes:
    data = b"".join(OURS)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        data = data[:start] + draw(st.binary(max_size=8)) + data[start + draw(st.integers(0, 8)) :]
    return data


@given(st.binary(max_size=200) | nearly_elements())
def test_any_elements(data: bytes) -> None:
    """Elements, or OSError with a number that has words."""
    try:
        found = elements_of(data)
    except OSError as error:
        assert error.errno  # noqa: PT017 - both outcomes are right
        return
    assert all(isinstance(each.key, bytes) for each in found)
