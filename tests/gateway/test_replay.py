"""The replay store: nothing counts twice, in any order of events; it refuses when full, and never forgets early."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from prometheus_client import REGISTRY

from gateway.identity.replay import ReplayStore

NOW = 1_800_000_000.0
LONGEST = 80.0
WIDTH = LONGEST / 8
SECRET = bytes(32)


@pytest.fixture
def store() -> ReplayStore:
    return ReplayStore("test", 3, LONGEST, SECRET)


def test_a_key_is_first_once(store: ReplayStore) -> None:
    assert store.first(b"a", NOW + 60, NOW) is True
    assert store.first(b"a", NOW + 60, NOW + 59) is False
    assert store.first(b"b", NOW + 60, NOW) is True


def test_a_key_that_is_forgotten_was_never_seen(store: ReplayStore) -> None:
    for key in (b"a", b"b", b"c"):
        assert store.first(key, NOW + 60, NOW) is True
    assert store.holds(b"a")
    store.forget(b"a")
    store.forget(b"never there")
    assert not store.holds(b"a")
    assert len(store) == 2
    assert store.first(b"a", NOW + 60, NOW) is True
    assert store.first(b"d", NOW + 60, NOW) is None


def test_another_end_does_not_make_it_another_key(store: ReplayStore) -> None:
    assert store.first(b"a", NOW + 5, NOW) is True
    assert store.first(b"a", NOW + 80, NOW) is False


def test_a_full_store_refuses_and_does_not_forget(store: ReplayStore) -> None:
    assert [store.first(key, NOW + 60, NOW) for key in (b"a", b"b", b"c", b"d")] == [True, True, True, None]
    assert [store.first(key, NOW + 60, NOW + 60) for key in (b"a", b"b", b"c", b"d")] == [False, False, False, None]


def test_there_is_room_again_as_soon_as_entries_end(store: ReplayStore) -> None:
    for key in (b"a", b"b", b"c"):
        store.first(key, NOW + 10, NOW)
    later = NOW + 10 + WIDTH
    assert [store.first(key, later + 10, later) for key in (b"d", b"e", b"a")] == [True, True, True]
    assert store.first(b"f", later + 10, later) is None


@pytest.mark.parametrize("until", [NOW - 0.1, NOW + LONGEST + 0.1, math.inf, -math.inf, math.nan])
def test_a_life_that_is_over_or_too_long_is_refused(store: ReplayStore, until: float) -> None:
    assert store.first(b"a", until, NOW) is False
    assert len(store) == 0


def test_a_clock_that_steps_back_does_not_bring_a_key_back(store: ReplayStore) -> None:
    assert store.first(b"late", NOW + 70, NOW) is True
    assert store.first(b"early", NOW + 10, NOW) is True
    assert store.first(b"other", NOW + 200, NOW + 120) is True
    assert store.first(b"early", NOW + 10, NOW) is False
    assert store.first(b"late", NOW + 70, NOW) is False


def test_refusals_are_counted(store: ReplayStore) -> None:
    def counted(why: str) -> float:
        name = "portcullis_gateway_replay_refused_total"
        return REGISTRY.get_sample_value(name, {"store": "test", "why": why}) or 0.0

    before = {why: counted(why) for why in ("replayed", "late", "full")}
    for key in (b"a", b"b", b"c", b"a", b"d"):
        store.first(key, NOW + 1, NOW)
    store.first(b"e", NOW - 1, NOW)
    assert {why: counted(why) - before[why] for why in before} == {"replayed": 1, "late": 1, "full": 1}


def test_what_ended_is_freed_a_little_with_each_question() -> None:
    store = ReplayStore("test", 1000, LONGEST, SECRET)
    for number in range(1000):
        store.first(b"%d" % number, NOW + 1, NOW)
    sizes = []
    for number in range(400):
        assert store.first(b"new %d" % number, NOW + 180, NOW + 100) is True
        sizes.append(len(store))
    assert sizes[0] > 990
    assert sizes[-1] == 400


class AnyOrder(RuleBasedStateMachine):
    """Against a model that remembers everything, with a clock that steps forward, and back."""

    @initialize(capacity=st.integers(1, 12))
    def start(self, capacity: int) -> None:
        self.store = ReplayStore("model", capacity, LONGEST, SECRET)
        self.capacity = capacity
        self.now = self.latest = NOW
        self.accepted: dict[int, list[float]] = {}  # ends, by key

    @rule(seconds=st.floats(0, 30) | st.floats(-15, 0) | st.sampled_from([0.0, WIDTH, 200.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.latest = max(self.latest, self.now)

    @rule(key=st.integers(0, 15), life=st.floats(-5, LONGEST + 5) | st.sampled_from([0.0, WIDTH, LONGEST]))
    def ask(self, key: int, life: float) -> None:
        until = self.now + life
        ends = self.accepted.setdefault(key, [])
        answer = self.store.first(b"%d" % key, until, self.now)
        if until in ends or any(self.latest <= end for end in ends):
            assert answer is False, "counted twice"
        elif not self.now <= until <= self.now + LONGEST:
            assert answer is False, "a life that is over or too long"
        elif until > self.latest + WIDTH and not any(self.now <= end + WIDTH for end in ends):
            held = sum(self.now <= end + WIDTH for ends in self.accepted.values() for end in ends)
            assert answer is True or (answer is None and held >= self.capacity), "refused without a reason"
        if answer:
            ends.append(until)

    @invariant()
    def bounded(self) -> None:
        assert len(self.store) <= self.capacity
        living = sum(self.latest <= end for ends in self.accepted.values() for end in ends)
        assert living <= len(self.store), "forgotten early"


AnyOrder.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestAnyOrder = AnyOrder.TestCase
