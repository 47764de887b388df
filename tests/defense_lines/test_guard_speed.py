"""To judge a block takes as long among a thousand live blocks as among a million."""

from __future__ import annotations

import os
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defense_lines import WEEK, Activity, Callers, Guard, GuardLimits, Permit
from defense_lines.guard.ordered import Ordered
from policy import BlockPolicy, Cause, Target

NOW = 1_800_000_000.0
PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
LIVE, SIGHTINGS = (1_000_000, 200_000) if PROVE else (50_000, 20_000)
CAUSE = Cause(reason="scan", by="detector:flow")
MOST = 200e-6  # seconds; a bound for a busy machine: 20 µs, measured


def block(number: int, value: str) -> BlockPolicy:
    target = Target("address", value)
    return BlockPolicy(id=f"b-{number:016x}", target=target, created=NOW, expires=NOW + 3600, cause=CAUSE)


def address(number: int) -> str:
    return f"10.{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


@pytest.fixture(scope="module")
def callers() -> Callers:
    callers = Callers(Activity(), Activity(window=WEEK))
    for number in range(SIGHTINGS):
        for activity in callers:
            activity.saw(f"person:{number}", f"person:{number}", address(number), "", NOW - 60)
    return callers


def middle(callers: Callers, live: int) -> float:
    """Seconds that the middle one of 1,000 judgements takes."""
    limits = GuardLimits(blocks_per_minute=10**9, approval_most=10**9, approval_share=1.0)
    guard = Guard(limits, callers)
    guard.restore((block(number, address(number % 2**20)) for number in range(live)), NOW)
    spent = []
    for number in range(1000):
        asked = block(10**7 + number, address(number * 7 % SIGHTINGS))
        started = time.perf_counter()
        judged = guard.judge(asked, NOW)
        spent.append(time.perf_counter() - started)
        assert isinstance(judged, Permit)
    return sorted(spent)[len(spent) // 2]


@pytest.mark.prove
def test_a_judgement_takes_as_long_among_many(callers: Callers) -> None:
    few, lots = middle(callers, 1000), middle(callers, LIVE)
    assert lots < 4 * few
    assert lots < MOST


@given(st.lists(st.integers(0, 300)), st.integers(0, 300), st.integers(0, 300))
def test_numbers_in_order_are_a_set(numbers: list[int], one: int, other: int) -> None:
    order, held = Ordered(), set[int]()
    for number in numbers:
        (order.remove if number in held else order.add)(number)
        held ^= {number}
    first, last = min(one, other), max(one, other)
    expected = sorted(number for number in held if first <= number <= last)
    assert list(order.within(first, last)) == expected
    assert order.count(first, last) == len(expected)


def test_many_numbers_in_order_are_a_set_too() -> None:
    chance = random.Random(3)
    order, held = Ordered(), set[int]()
    for number in (chance.randrange(2**128) for _ in range(20_000)):
        order.add(number)
        held.add(number)
    for number in chance.sample(sorted(held), 15_000):
        order.remove(number)
        held.remove(number)
    for _ in range(50):
        first, last = sorted((chance.randrange(2**128), chance.randrange(2**128)))
        expected = sorted(number for number in held if first <= number <= last)
        assert list(order.within(first, last)) == expected
        assert order.count(first, last) == len(expected)
