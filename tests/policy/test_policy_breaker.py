"""The circuit breaker against its description, for any order of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from policy.engines.breaker import Breaker

PAUSE = 10.0
MOST = 3


def test_it_opens_after_so_many_failures_in_a_row_and_lets_one_try_after_the_pause() -> None:
    breaker = Breaker(MOST, PAUSE)
    for _ in range(MOST - 1):
        assert breaker.admit(0)
        breaker.failed(0)
    assert breaker.state(0) == "closed"
    breaker.failed(1)
    assert (breaker.state(1), breaker.admit(1), breaker.admit(10.9)) == ("open", False, False)
    assert breaker.state(11) == "half_open"
    assert [breaker.admit(11), breaker.admit(11), breaker.admit(20.9)] == [True, False, False]
    breaker.succeeded()
    assert [breaker.admit(12), breaker.admit(12)] == [True, True]


def test_a_try_that_fails_opens_it_for_another_pause() -> None:
    breaker = Breaker(1, PAUSE)
    breaker.failed(0)
    assert breaker.admit(10)
    breaker.failed(15)
    assert [breaker.admit(24.9), breaker.admit(25)] == [False, True]


def test_a_try_that_is_never_heard_of_again_holds_up_the_next_by_a_pause_only() -> None:
    breaker = Breaker(1, PAUSE)
    breaker.failed(0)
    assert [breaker.admit(10), breaker.admit(19.9), breaker.admit(20)] == [True, False, True]


@given(st.lists(st.booleans()))
def test_it_is_closed_until_so_many_in_a_row_failed(outcomes: list[bool]) -> None:
    breaker = Breaker(MOST, PAUSE)
    row = 0
    for fine in outcomes:
        assert (breaker.state(0) == "closed") == (row < MOST)
        if fine:
            breaker.succeeded()
            row = 0
        else:
            breaker.failed(0)
            row += 1


class AnyOrder(RuleBasedStateMachine):
    """Whoever passes may fare well or badly, soon, late or never."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(MOST, PAUSE)
        self.now = 0.0
        self.row = 0
        self.asked: list[float] = []  # when they passed since the circuit opened
        self.out = 0

    @rule(seconds=st.floats(0, 3 * PAUSE))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        state = self.breaker.state(self.now)
        passed = self.breaker.admit(self.now)
        assert passed == (state != "open")
        if passed:
            self.out += 1
            if state == "half_open":
                self.asked.append(self.now)

    @precondition(lambda self: self.out)
    @rule()
    def fare_well(self) -> None:
        self.out -= 1
        self.row = 0
        self.asked = []
        self.breaker.succeeded()

    @precondition(lambda self: self.out)
    @rule()
    def fare_badly(self) -> None:
        self.out -= 1
        self.row += 1
        self.breaker.failed(self.now)

    @invariant()
    def closed_exactly_while_too_few_failed(self) -> None:
        assert (self.breaker.state(self.now) == "closed") == (self.row < MOST)

    @invariant()
    def tries_are_a_pause_apart(self) -> None:
        assert all(later >= earlier + PAUSE for earlier, later in zip(self.asked, self.asked[1:], strict=False))

    @invariant()
    def it_never_stays_open(self) -> None:
        assert self.breaker.state(self.now + PAUSE) != "open"


TestAnyOrder = AnyOrder.TestCase
