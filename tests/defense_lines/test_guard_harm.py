"""What a new block does to good callers: found where it is harm, and not where it is chance, or the attacker."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defense_lines import WEEK, Activity, Callers, GuardLimits, Request, Watches
from defense_lines.guard.harm import Tally, risen
from policy import BlockPolicy, Cause, Target, TargetKind

NOW = 1_800_000_000.0
LIMITS = GuardLimits(watch_seconds=30, harm_callers=5, harm_share=0.05)
OFFICE = [f"person:{number}" for number in range(40)]


def office() -> Callers:
    """Forty people, who all come from 203.0.113.9 and each from home."""
    callers = Callers(Activity(), Activity(window=WEEK))
    for number, person in enumerate(OFFICE):
        callers.hour.saw(person, person, "203.0.113.9", "", NOW - 600)
        callers.week.saw(person, person, f"198.51.100.{number}", "", NOW - 6000)
    return callers


def block(number: int, kind: TargetKind, value: str, lines: tuple[str, ...] = ()) -> BlockPolicy:
    cause = Cause(reason="scan", by="detector:flow")
    return BlockPolicy(
        id=f"b-{number:016x}",
        target=Target(kind, value),
        created=NOW,
        expires=NOW + 600,
        cause=cause,
        lines=lines,
    )


def requests(people: list[str], address: str) -> list[Request]:
    return [Request(person, person, address) for person in people]


class Minute:
    """Seconds of traffic before and after a block at NOW."""

    def __init__(self, *blocks: BlockPolicy, bearable: int = 3, whole: BlockPolicy | None = None) -> None:
        self.told: list[str] = []
        self.watches = Watches(LIMITS, office(), self.told.append)
        for second in range(-30, 0):
            self.watches.saw(OFFICE, (), (), NOW + second)
        for each in blocks:
            self.watches.add(each, whole, bearable, None, NOW)

    def harmed(self, now: float) -> list[str]:
        return [harmed.watch.block.id for harmed in self.watches.harmed(now)]


def test_a_block_that_refuses_more_than_it_may_is_harm() -> None:
    minute = Minute(block(1, "address", "203.0.113.9", ("edge",)))
    minute.watches.saw((), (), requests(OFFICE[:3], "203.0.113.9"), NOW + 1)
    assert minute.harmed(NOW + 1.5) == []
    minute.watches.saw((), (), requests(OFFICE[3:4], "::ffff:203.0.113.9"), NOW + 2)
    assert minute.harmed(NOW + 2.5) == ["b-0000000000000001"]
    (harmed,) = minute.watches.harmed(NOW + 2.5)
    assert harmed.figures == "refused 4 good callers, 3 are borne"


def test_an_attacker_who_hammers_takes_nothing_back() -> None:
    """However often, in however many names that are nobody's, and in the few good names that it has stolen."""
    minute = Minute(block(1, "address", "192.0.2.66"), block(2, "actor", "agent:taken"))
    for second in range(30):
        strangers = [f"person:stranger-{second}-{number}" for number in range(100)]
        stolen = requests([*strangers, *OFFICE[:4]], "192.0.2.66")
        minute.watches.saw(OFFICE[4:], (), [*stolen, Request(OFFICE[0], "agent:taken", "192.0.2.67")], NOW + second)
        assert minute.harmed(NOW + second + 0.9) == []
    assert [watch.block.id for watch in minute.watches.over(NOW + 30)] == [
        "b-0000000000000001",
        "b-0000000000000002",
    ]


def test_people_who_come_from_elsewhere_after_the_block_are_harm_too() -> None:
    """Nobody was ever seen at the range: a branch fails over to its second line, which is blocked."""
    minute = Minute(block(1, "range", "192.0.2.0/24", ("edge",)), block(2, "address", "192.0.3.1"))
    for second in range(1, 4):
        minute.watches.saw(OFFICE[12:], (), requests(OFFICE[:12], "192.0.2.9"), NOW + second)
    assert minute.harmed(NOW + 4) == ["b-0000000000000001"]


def test_good_callers_whose_requests_fail_are_harm_of_what_other_lines_do() -> None:
    minute = Minute(block(1, "address", "10.0.5.9"), block(2, "address", "192.0.2.1", ("edge",)))
    for second in range(1, 4):
        minute.watches.saw(OFFICE[20:], OFFICE[:20], (), NOW + second)
    assert minute.harmed(NOW + 4) == ["b-0000000000000001"]
    assert minute.watches.harmed(NOW + 4)[0].figures == "20 of 40 good callers fail, 0 of 40 before"


def test_failing_that_was_there_before_is_nobodys() -> None:
    minute = Minute()
    for second in range(-30, 0):
        minute.watches.saw((), OFFICE[:20], (), NOW + second)
    minute.watches.add(block(1, "address", "10.0.5.9"), None, 3, None, NOW)
    for second in range(1, 4):
        minute.watches.saw(OFFICE[20:], OFFICE[:20], (), NOW + second)
    assert minute.harmed(NOW + 4) == []


def test_where_many_new_blocks_may_be_to_blame_people_are_told_and_none_is_taken_back() -> None:
    minute = Minute(*(block(number, "address", f"192.0.2.{number}") for number in range(4)))
    for second in range(1, 4):
        minute.watches.saw(OFFICE[20:], OFFICE[:20], (), NOW + second)
    assert minute.harmed(NOW + 4) == []
    assert minute.told == ["20 of 40 good callers fail, 0 of 40 before"]


def test_a_watch_that_is_removed_finds_nothing() -> None:
    minute = Minute(block(1, "address", "203.0.113.9"), block(2, "range", "203.0.113.8/30"))
    for block_id in ("b-0000000000000001", "b-0000000000000002", "b-0000000000000003"):
        minute.watches.remove(block_id)
    minute.watches.saw((), (), requests(OFFICE, "203.0.113.9"), NOW + 1)
    assert (len(minute.watches), minute.harmed(NOW + 1.5)) == (0, [])


def test_watches_are_bounded_and_canaries_stay() -> None:
    canary = block(0, "address", "192.0.2.1", ("edge",))
    watches = Watches(LIMITS, office())
    watches.add(canary, block(0, "address", "192.0.2.1"), 3, None, NOW)
    for number in range(1, 10_500):
        watches.add(block(number, "address", "192.0.2.1"), None, 3, None, NOW)
    assert len(watches) == 10_000
    assert watches.over(NOW + 31)[0].block == canary


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_what_counts_as_risen_is_what_is_stated(n0: int, f0: int, n1: int, f1: int) -> None:
    before, after = Tally(n0 + f0, f0), Tally(n1 + f1, f1)
    found = risen(before, after, LIMITS)
    if found:
        assert before.callers
        assert f1 >= 5
        assert after.share - before.share >= 0.05
    assert not risen(before, Tally(before.callers, before.failing), LIMITS)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5])
def test_chance_alone_is_seldom_harm(share: float) -> None:
    """The same share before and after, 4,000 times: by the test's own word less than two false ones."""
    chance = random.Random(7)

    def drawn() -> Tally:
        return Tally(200, sum(chance.random() < share for _ in range(200)))

    assert sum(risen(drawn(), drawn(), LIMITS) is not None for _ in range(4000)) <= 8
