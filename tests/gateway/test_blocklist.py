"""Who is blocked is found in the same time among a thousand blocks and among a million."""

from __future__ import annotations

import ipaddress
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defense_lines import Digest
from gateway.blocklist import Blocklist
from gateway.sessions import Sessions
from policy import BlockPolicy, Cause, Target

MANY = 1_000_000 if os.environ.get("PORTCULLIS_PROVE") == "1" else 50_000
NOW = 1_800_000_000.0
CAUSE = Cause(reason="scan", by="detector:alert")


def block(number: int, target: Target, life: float = 600.0) -> BlockPolicy:
    return BlockPolicy(id=f"b-{number:016x}", target=target, created=NOW, expires=NOW + life, cause=CAUSE)


def listed(*targets: Target) -> Blocklist:
    blocklist = Blocklist(Sessions(), clock=lambda: NOW)
    blocklist.enforce([block(number, target) for number, target in enumerate(targets)])
    return blocklist


networks = st.tuples(st.integers(0, 2**32 - 1), st.integers(20, 32)).map(
    lambda pair: ipaddress.ip_network((0x0A000000 | pair[0] & 0x3FFF, pair[1]), strict=False)
)


@given(st.lists(networks, max_size=12), st.integers(0, 0x3FFF), st.booleans())
def test_a_range_holds_exactly_its_addresses(ranges: list[ipaddress.IPv4Network], number: int, mapped: bool) -> None:
    blocklist = listed(*(Target.of("range", str(network)) for network in ranges))
    address = ipaddress.IPv4Address(0x0A000000 | number)
    asked = f"::ffff:{address}" if mapped else str(address)
    assert (blocklist.find(None, asked) is not None) == any(address in network for network in ranges)
    around = {f"b-{place:016x}" for place, network in enumerate(ranges) if address in network}
    assert set(blocklist.holding(Target.of("address", asked))) == around
    blocklist.lift(sorted(around))
    assert blocklist.find(None, asked) is None


def test_an_address_is_found_however_it_is_written() -> None:
    blocklist = listed(Target("address", "198.51.100.7"), Target("address", "2001:db8::7"))
    for written in ("198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7", "2001:DB8:0::7"):
        assert blocklist.find(None, written) is not None
    for other in ("198.51.100.8", "::198.51.100.7", "2001:db8::8", "", "unix"):
        assert blocklist.find(None, other) is None


def test_nested_and_equal_blocks_end_each_for_itself() -> None:
    wide, narrow = Target("range", "198.51.100.0/24"), Target("range", "198.51.100.0/28")
    blocklist = listed(wide, narrow, wide)
    blocklist.lift(["b-0000000000000000"])
    assert blocklist.find(None, "198.51.100.200") is not None
    blocklist.lift(["b-0000000000000002"])
    assert blocklist.find(None, "198.51.100.200") is None
    assert blocklist.find(None, "198.51.100.3") is not None


def test_what_has_ended_is_forgotten_and_nothing_else() -> None:
    moment = NOW
    blocklist = Blocklist(Sessions(), clock=lambda: moment)
    targets = [Target("address", f"198.51.100.{number}") for number in range(200)]
    blocklist.enforce([block(number, target, 1.0 + number) for number, target in enumerate(targets)])
    blocklist.lift([f"b-{number:016x}" for number in range(50)])
    moment = NOW + 100.5
    blocklist.expire()
    assert [each.target for each in blocklist.blocks()] == targets[100:]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["block", "lift", "wait"])), max_size=30))
def test_its_digest_is_of_what_it_refuses(story: list[tuple[int, str]]) -> None:
    moment = NOW
    blocklist = Blocklist(Sessions(), clock=lambda: moment)
    for number, verb in story:
        if verb == "block":
            blocklist.enforce([block(number, Target("address", f"198.51.100.{number}"), 1.0 + number)])
        elif verb == "lift":
            blocklist.lift([f"b-{number:016x}"])
        else:
            moment += 1.0
            blocklist.expire()
        assert blocklist.digest(moment) == Digest.of(blocklist.active())
        assert blocklist.digest(moment + 2) == Digest.of(
            each.id for each in blocklist.blocks() if each.expires > moment + 2
        )


def spent(blocklist: Blocklist) -> float:
    """Seconds for a thousand looks, the best of some."""
    addresses = [f"203.0.{number % 100}.{number % 250}" for number in range(1000)]
    best = float("inf")
    for _ in range(7):
        started = time.perf_counter()
        for address in addresses:
            assert blocklist.find(None, address) is None
        blocklist.expire()
        best = min(best, time.perf_counter() - started)
    return best


def filled(number: int) -> Blocklist:
    texts = (f"10.{each >> 12 & 255}.{each >> 4 & 255}.{(each & 15) << 4}/28" for each in range(number))
    return listed(*(Target("range", text) for text in texts))


@pytest.mark.prove
def test_a_look_takes_as_long_among_many() -> None:
    assert spent(filled(MANY)) < 4 * spent(filled(1000))
