"""Blocks on addresses and ranges, against a walk over all of them."""

from __future__ import annotations

import ipaddress
import time
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from defense_lines.lines.crowdsec import Addresses
from defense_lines.lines.crowdsec.addresses import Network
from defense_lines.lines.crowdsec.journal import Change
from policy import BlockPolicy
from tests.defense_lines.line_rig import block


def networks() -> st.SearchStrategy[Network]:
    four = st.tuples(st.sampled_from(["10.0.0.0", "10.0.0.1", "10.0.128.0", "10.1.0.0"]), st.integers(8, 32))
    six = st.tuples(st.sampled_from(["2001:db8::", "2001:db8::1", "2001:db8:0:1::"]), st.integers(32, 128))
    return st.one_of(four, six).map(lambda pair: ipaddress.ip_network(pair, strict=False))


def on(network: Network, ttl: float = 600) -> BlockPolicy:
    whole = network.prefixlen == network.max_prefixlen
    return block("address" if whole else "range", str(network.network_address if whole else network), ttl)


@given(st.lists(networks(), max_size=12), st.data(), networks())
def test_found_is_what_a_walk_finds(wanted: list[Network], data: st.DataObject, asked: Network) -> None:
    blocks = [on(network) for network in wanted]
    addresses = Addresses(blocks)
    lifted = set(data.draw(st.lists(st.sampled_from(blocks), max_size=6))) if blocks else set[BlockPolicy]()
    for each in lifted:
        addresses.lift(each.id)
    assert set(addresses.known()) == set(blocks)
    left = [each for each in blocks if each not in lifted]
    over = [each for each in left if covers(ipaddress.ip_network(each.target.value), asked)]
    assert set(addresses.over(asked)) == set(over)
    assert set(addresses.at(asked)) == {each for each in over if ipaddress.ip_network(each.target.value) == asked}


def covers(one: Network, other: Network) -> bool:
    return one.version == other.version and other.network_address in one and one.prefixlen <= other.prefixlen


def test_what_has_run_its_time_is_forgotten_and_told_unless_it_was_lifted() -> None:
    short, long, lifted = block(ttl=10), block(ttl=1000), block(ttl=10)
    addresses = Addresses([short, long, lifted])
    addresses.lift(lifted.id)
    place = addresses.journal.last
    addresses.end(short.expires - 1, 9)
    assert addresses.journal.since(place) == []
    addresses.end(lifted.expires, 9)
    assert addresses.journal.since(place) == [Change(short.target, (), True)]
    assert addresses.known() == [long]
    assert list(addresses.over(ipaddress.ip_network(long.target.value))) == [long]


def test_so_many_end_at_once_and_no_more() -> None:
    addresses = Addresses(block(ttl=1) for _ in range(10))
    now, places = time.time() + 2, []
    for _ in range(4):
        addresses.end(now, 4)
        places.append(addresses.journal.last)
    assert places == [4, 8, 10, 10]


def test_what_changes_is_told_with_whether_the_bouncer_has_to_clear() -> None:
    told = list[Change]()
    addresses = Addresses()
    addresses.on_change = told.append
    first, second, other = block(value="192.0.2.1"), block(value="192.0.2.1", lines=("a",)), block("principal", "p:jo")
    for each in (first, second, second, other):
        addresses.put(each)
    addresses.lift(first.id)
    addresses.lift(first.id)
    target = first.target
    assert told == [Change(target, (), False), Change(target, ("a",), True), Change(target, (), True)]
    assert addresses.journal.since(0) == told


def test_a_look_up_is_as_quick_among_many() -> None:
    few, many = (Addresses(spread(count)) for count in (1_000, 100_000))
    asked = [ipaddress.ip_network(f"10.{number}.{number}.{number}") for number in range(200)]
    ratio = min(timed(many, asked) for _ in range(5)) / min(timed(few, asked) for _ in range(5))
    assert ratio < 5, ratio  # a walk would take a hundred times as long


def spread(count: int) -> list[BlockPolicy]:
    taken = (f"10.{a}.{b}.{c}" for a, b, c in product(range(40), range(50), range(50)))
    return [block("address", address) for address, _ in zip(taken, range(count), strict=False)] + [
        block("range", f"10.{number}.0.0/16") for number in range(100)
    ]


def timed(addresses: Addresses, asked: list[Network]) -> float:
    started = time.perf_counter()
    for network in asked:
        assert len(list(addresses.over(network))) <= 2
    return time.perf_counter() - started
