"""What polls prove, against a model of CrowdSec's Go library whose connections are cut."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from defense_lines.lines.crowdsec.delivery import Change, Delivery, Order
from policy import Target

TARGETS = [Target("address", f"192.0.2.{number}") for number in range(6)]


class Bouncer(RuleBasedStateMachine):
    """Reads an answer, hands it over once the part that enforces is free, and polls again; an answer may be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.delivery = Delivery()
        self.orders: dict[Order, tuple[Target, int]] = {}  # with the truth about its target when it was ordered
        self.truth: dict[Target, int] = {}  # by version
        self.enforced: dict[Target, int] = {}
        self.working: dict[Target, int] | None = None  # handed over, not yet enforced
        self.open = False  # a poll waits
        self.kept = False  # its connection carried the last answer

    @rule(about=st.sampled_from(TARGETS))
    def ordered(self, about: Target) -> None:
        order = Order(len(self.orders) + 1, f"b-{len(self.orders):016x}")
        self.truth[about] = order.seq
        self.orders[order] = (about, order.seq)
        self.delivery.tell(about, Change(orders={order}))

    @precondition(lambda self: not self.open)
    @rule()
    def polls(self) -> None:
        self.delivery.polled(received=self.kept)
        self.open = True

    @precondition(lambda self: self.open)
    @rule(most=st.integers(1, 3))
    def is_answered(self, most: int) -> None:
        answer = {target: self.truth[target] for target in self.delivery.answer(most)}
        if self.working is not None:
            self.enforce()  # it takes nothing before
        self.working, self.open, self.kept = answer, False, True

    @precondition(lambda self: self.open)
    @rule(most=st.integers(1, 3))
    def is_answered_and_cut(self, most: int) -> None:
        self.delivery.answer(most)
        self.open, self.kept = False, False

    @precondition(lambda self: self.open)
    @rule()
    def is_cut(self) -> None:
        self.open, self.kept = False, False

    @precondition(lambda self: self.working is not None)
    @rule()
    def enforce(self) -> None:
        assert self.working is not None
        self.enforced |= self.working
        self.working = None

    @invariant()
    def what_is_proved_was_done(self) -> None:
        for order, (target, version) in self.orders.items():
            if self.delivery.carried_out([order]):
                assert self.enforced.get(target, 0) >= version, order

    def teardown(self) -> None:
        """With a connection that holds, everything is done and proved, however many were cut before."""
        self.open, self.kept = False, False
        for _ in range(len(self.truth) + 4):
            self.polls()
            self.is_answered(1)
        assert self.delivery.carried_out(self.orders)
        assert self.enforced == self.truth
        self.polls()
        assert not self.delivery.due


TestDelivery = Bouncer.TestCase
TestDelivery.settings = settings(max_examples=200, stateful_step_count=40)


def test_what_is_settled_is_forgotten() -> None:
    delivery, first, second = Delivery(), Order(1, "b-1"), Order(2, "b-2")
    delivery.tell(TARGETS[0], Change(orders={first, second}))
    delivery.settle(1, ())
    assert not delivery.knows(first)
    assert delivery.knows(second)
    delivery.settle(0, [second])
    assert not delivery.knows(second)


def test_two_changes_of_one_target_are_one_and_clear_if_either_does() -> None:
    delivery = Delivery()
    delivery.tell(TARGETS[0], Change(clear=True))
    delivery.tell(TARGETS[0], Change())
    assert delivery.answer(9) == {TARGETS[0]: True}
