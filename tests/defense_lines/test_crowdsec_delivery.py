"""What polls prove, against a model of CrowdSec's Go library whose connections are cut."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from defense_lines.lines.crowdsec.delivery import NOTHING, Delivery, Mark
from defense_lines.lines.crowdsec.journal import Change, Journal
from policy import Target

TARGETS = [Target("address", f"192.0.2.{number}") for number in range(6)]


class Bouncer(RuleBasedStateMachine):
    """Reads an answer, hands it over once the part that enforces is free, and polls again; an answer may be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Target] = [TARGETS[0], TARGETS[1]]  # before it is there
        self.delivery = Delivery(1)
        self.enforced: dict[Target, int] = {}  # up to which place, by target
        self.working: dict[Target, int] | None = None  # handed over, not yet enforced
        self.open = False  # a poll waits
        self.kept = False  # its connection carried the last answer

    @rule(about=st.sampled_from(TARGETS))
    def changed(self, about: Target) -> None:
        self.changes.append(about)

    @precondition(lambda self: not self.open)
    @rule()
    def polls(self) -> None:
        self.delivery.polled(received=self.kept)
        self.open = True

    @precondition(lambda self: self.open)
    @rule()
    def is_answered(self) -> None:
        answer = self.answer()
        if self.working is not None:
            self.enforce()  # it takes nothing before
        self.working, self.open, self.kept = answer, False, True

    @precondition(lambda self: self.open)
    @rule()
    def is_answered_with_nothing(self) -> None:
        self.delivery.nothing()
        if self.working is not None:
            self.enforce()
        self.working, self.open, self.kept = {}, False, True

    @precondition(lambda self: self.open)
    @rule()
    def is_answered_and_cut(self) -> None:
        self.answer()
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
        proved = self.delivery.enforced
        for target, place in latest(self.changes[: proved.place if proved.seq != NOTHING else 0]).items():
            assert self.enforced.get(target, 0) >= place, target

    def answer(self) -> dict[Target, int]:
        taken, truth = self.delivery.taken, latest(self.changes)
        told = set(self.changes if taken.seq == NOTHING else self.changes[taken.place :])
        self.delivery.answer(Mark(len(self.changes), 0, bool(told)))
        return {target: truth[target] for target in told}

    def teardown(self) -> None:
        """With a connection that holds, everything is done and proved by the second poll after the answer."""
        self.open, self.kept = False, False
        for _ in range(3):
            self.polls()
            assert self.delivery.due(len(self.changes)) or self.delivery.enforced.place == len(self.changes)
            self.is_answered()
        assert self.delivery.enforced == Mark(len(self.changes), 0, self.delivery.enforced.said)
        assert self.enforced == latest(self.changes)
        self.polls()
        assert not self.delivery.due(len(self.changes))


def latest(changes: list[Target]) -> dict[Target, int]:
    return {target: place for place, target in enumerate(changes, 1)}


TestDelivery = Bouncer.TestCase
TestDelivery.settings = settings(max_examples=200, stateful_step_count=40)


def test_an_answer_that_did_not_come_is_told_of_once() -> None:
    delivery = Delivery(0)
    assert not delivery.polled(received=False)  # there was none
    delivery.answer(Mark(1, 1, True))
    assert delivery.polled(received=False)
    delivery.answer(Mark(1, 1, True))
    assert not delivery.polled(received=True)
    assert not delivery.polled(received=False)  # a second poll before the answer


def test_a_journal_remembers_the_newest() -> None:
    journal = Journal(3)
    changes = [Change(target, (), True) for target in TARGETS]
    for change in changes:
        journal.add(change)
    assert (journal.last, journal.forgotten) == (6, 3)
    assert journal.since(4) == changes[4:]
    assert journal.since(0) == journal.since(3) == changes[3:]
    assert journal.since(6) == []
