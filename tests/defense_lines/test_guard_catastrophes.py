"""Fifty orders that would hurt the bank more than any attacker: none passes without what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import pytest

from defense_lines import WEEK, Activity, Approved, Callers, Guard, GuardLimits, Hold, Leave, Override, Permit, Refusal
from policy import BlockPolicy, Cause, Target, TargetKind

NOW = 1_800_000_000.0
TELLERS, CROWD, SOC = 900, 10_000, 12
LIMITS = GuardLimits(
    never_block_addresses=("127.0.0.0/8", "::1/128", "10.99.0.0/24", "10.1.0.0/28", "2001:db8:99::/64"),
    never_block_principals=("workload:core-banking", *(f"person:soc-{number}" for number in range(SOC))),
    own_path=(
        ("192.0.2.10", "the edge"),
        ("10.0.5.9", "service accounts"),
        ("10.0.5.10", "service accounts"),
        ("10.0.6.2", "MQTT broker"),
        ("203.0.113.200", "trusted proxy"),
    ),
    blocks_per_minute=1_000_000,  # a rate would hide what else is wrong
)


def bank() -> Callers:
    """A morning: tellers at their desks, an office behind a proxy, a fintech's agent, a mobile carrier's addresses."""
    hour, week = Activity(limit=100_000), Activity(limit=100_000, window=WEEK)
    for activity in (hour, week):
        for number in range(TELLERS):
            name = f"person:teller-{number}"
            activity.saw(name, name, f"10.20.{number // 250}.{number % 250 + 1}", f"s-teller-{number}", NOW - 60)
        for number in range(CROWD):
            name = f"person:customer-{number}"
            activity.saw(name, "agent:fintech" if number % 2 else name, "203.0.113.9", f"s-customer-{number}", NOW - 60)
        for number in range(SOC):
            name = f"person:soc-{number}"
            activity.saw(name, name, f"10.99.0.{number + 1}", f"s-soc-{number}", NOW - 60)
        for number in range(1200):
            name = f"person:mobile-{number}"
            activity.saw(name, name, f"2001:db8:{number % 4:x}::{number:x}", f"s-mobile-{number}", NOW - 60)
            activity.saw(name, "workload:app-backend", f"198.51.100.{number % 80}", "s-shared", NOW - 60)
        for number in range(40):
            activity.saw(f"person:branch-{number}", f"person:branch-{number}", "198.18.0.7", f"s-b{number}", NOW - 60)
        activity.saw("workload:core-banking", "workload:core-banking", "10.0.5.77", "s-core", NOW - 60)
    for number in range(TELLERS):  # they come at nine; it is eight
        name = f"person:late-{number}"
        week.saw(name, name, f"10.30.{number // 250}.{number % 250 + 1}", "", NOW - 80_000)
    return Callers(hour, week)


@dataclass(frozen=True)
class Catastrophe:
    """What somebody orders, and what it takes."""

    name: str
    kind: TargetKind
    value: str
    takes: str  # "never": nobody can; "approval": a second person


C = Catastrophe
CATASTROPHES = [
    C("the whole internet", "range", "0.0.0.0/0", "never"),
    C("the whole of IPv6", "range", "::/0", "never"),
    C("the lower half of the internet", "range", "0.0.0.0/1", "never"),
    C("the upper half of the internet", "range", "128.0.0.0/1", "never"),
    C("all of IPv4 as IPv6 maps it", "range", "::ffff:0:0/96", "never"),
    C("everything around the mapped addresses", "range", "::/64", "never"),
    C("all global IPv6 addresses", "range", "2000::/3", "never"),
    C("a registry's IPv6 addresses", "range", "2a00::/11", "approval"),
    C("half of a registry's IPv6 addresses", "range", "2400::/7", "approval"),
    C("the bank's whole private network", "range", "10.0.0.0/8", "never"),
    C("the edge's own address", "address", "192.0.2.10", "never"),
    C("the edge's own address, mapped", "address", "::ffff:192.0.2.10", "never"),
    C("the edge's own network", "range", "192.0.2.0/24", "never"),
    C("the service behind the edge", "address", "10.0.5.9", "never"),
    C("one of two addresses of a service", "address", "10.0.5.10", "never"),
    C("both addresses of a service, by a range", "range", "10.0.5.8/29", "never"),
    C("the broker that carries orders", "address", "10.0.6.2", "never"),
    C("the balancer in front of the edge", "address", "203.0.113.200", "never"),
    C("the balancer, by the range of 256", "range", "203.0.113.0/24", "never"),
    C("loopback", "address", "127.0.0.1", "never"),
    C("all of loopback", "range", "127.0.0.0/8", "never"),
    C("a part of loopback", "range", "127.0.0.0/24", "never"),
    C("IPv6 loopback", "address", "::1", "never"),
    C("no address at all", "address", "0.0.0.0", "never"),
    C("no IPv6 address at all", "address", "::", "never"),
    C("link-local IPv6, which neighbours are found by", "range", "fe80::/10", "never"),
    C("a router's link-local address", "address", "fe80::1", "never"),
    C("the cloud's metadata service", "address", "169.254.169.254", "never"),
    C("multicast, which routers speak by", "range", "224.0.0.0/4", "never"),
    C("the routers' own group", "address", "224.0.0.5", "never"),
    C("IPv6 multicast", "range", "ff00::/8", "never"),
    C("broadcast", "address", "255.255.255.255", "never"),
    C("the whole SOC", "range", "10.99.0.0/24", "never"),
    C("one analyst's desk", "address", "10.99.0.3", "never"),
    C("the SOC, by a range around it", "range", "10.96.0.0/14", "never"),
    C("the SOC's IPv6 addresses", "range", "2001:db8:99::/48", "never"),
    C("an analyst by name", "principal", "person:soc-3", "never"),
    C("an analyst as an actor", "actor", "person:soc-3", "never"),
    C("an analyst's session", "session", "s-soc-3", "never"),
    C("core banking by name", "principal", "workload:core-banking", "never"),
    C("core banking as an actor", "actor", "workload:core-banking", "never"),
    C("core banking's session", "session", "s-core", "never"),
    C("the core's network, which is on the list", "range", "10.1.0.0/28", "never"),
    C("one address of the core's network", "address", "10.1.0.5", "never"),
    C("a proxy with 10,000 people behind it", "address", "203.0.113.9", "approval"),
    C("that proxy as a range of one", "range", "203.0.113.9/32", "approval"),
    C("that proxy as a range of two", "range", "203.0.113.8/31", "approval"),
    C("that proxy, mapped", "address", "::ffff:203.0.113.9", "approval"),
    C("that proxy among its neighbours", "range", "203.0.113.8/30", "approval"),
    C("the agent that acts for 5,000 customers", "actor", "agent:fintech", "approval"),
    C("the backend of the bank's own app", "actor", "workload:app-backend", "approval"),
    C("every teller at nine in the morning", "range", "10.20.0.0/16", "approval"),
    C("one floor of tellers", "range", "10.20.1.0/24", "approval"),
    C("every teller who comes at nine, at eight", "range", "10.30.0.0/16", "approval"),
    C("a floor of those who come at nine", "range", "10.30.2.0/24", "approval"),
    C("a carrier's addresses of the bank's mobile customers", "range", "2001:db8::/40", "never"),
    C("a quarter of the bank's mobile customers", "range", "2001:db8:1::/48", "approval"),
    C("an address that a carrier shares among 15", "address", "198.51.100.4", "approval"),
    C("a branch's one address", "address", "198.18.0.7", "approval"),
    C("a session that 1,200 have a part in", "session", "s-shared", "approval"),
    C("a country's range where nobody was seen lately", "range", "196.0.0.0/9", "approval"),
]
_ids = count(1)


def order(target: Target, by: str = "detector:flow", now: float = NOW) -> BlockPolicy:
    cause = Cause(reason="looks bad", by=by)
    return BlockPolicy(id=f"b-{next(_ids):016x}", target=target, created=now, expires=now + 3000, cause=cause)


@pytest.fixture(scope="module")
def callers() -> Callers:
    return bank()


def test_there_are_fifty() -> None:
    assert len({each.name for each in CATASTROPHES}) == len(CATASTROPHES) >= 50


@pytest.mark.parametrize("each", CATASTROPHES, ids=lambda each: each.name)
def test_none_passes_without_what_it_takes(callers: Callers, each: Catastrophe) -> None:
    target = Target.of(each.kind, each.value)
    guard = Guard(LIMITS, callers)
    override = Override(by="analyst:jo as root", reason="I am sure")
    for by in ("detector:flow", "analyst:jo as root"):
        for leave in (None, Leave(override=override)):
            assert not isinstance(guard.judge(order(target, by), NOW, leave), Permit)
    told = guard.radius(target, NOW).people
    alone = Leave(override, Approved(by="analyst:Jo as root", reason="me again", principals=told))
    assert not isinstance(guard.judge(order(target, "analyst:jo as root"), NOW, alone), Permit)
    both = Leave(override, Approved(by="analyst:kim as soc", reason="it has to be", principals=told))
    answer = guard.judge(order(target, "analyst:jo as root"), NOW, both)
    assert isinstance(answer, Refusal if each.takes == "never" else Permit), answer
    if isinstance(answer, Refusal):
        assert answer.rule == "never_block"
        assert "must never be blocked" in answer.reason


def test_tellers_one_by_one_are_as_many_as_all_at_once(callers: Callers) -> None:
    for kind, value in (("address", "10.20.{}.{}"), ("address", "10.30.{}.{}")):
        guard = Guard(LIMITS, callers)
        targets = [Target(kind, value.format(number // 250, number % 250 + 1)) for number in range(TELLERS)]  # type: ignore[arg-type]
        answers = [guard.judge(order(target), NOW) for target in targets]
        passed = [answer for answer in answers if isinstance(answer, Permit)]
        assert not any(answer.whole for answer in passed)
        assert len(passed) == LIMITS.approval_most
        assert {answer.rule for answer in answers if isinstance(answer, Hold)} == {"standing"}
        guard.lifted(passed[0].block)
        assert isinstance(guard.judge(order(targets[-1]), NOW), Permit)  # as one was lifted
        assert isinstance(guard.judge(order(targets[-2]), NOW), Hold)
        later = NOW + 3100  # all have ended
        assert isinstance(guard.judge(order(targets[-2], now=later), later), Permit)


def test_a_network_in_small_ranges_is_as_large_as_in_one(callers: Callers) -> None:
    guard = Guard(LIMITS, callers)
    ranges = [Target("range", f"10.20.{floor}.{start}/29") for floor in range(4) for start in range(0, 256, 8)]
    answers = [guard.judge(order(target), NOW) for target in ranges]
    hit = [callers.hit(answer.block.target, NOW) for answer in answers if isinstance(answer, Permit)]
    assert LIMITS.approval_most - 8 <= len(frozenset().union(*hit)) <= LIMITS.approval_most


def test_a_detector_run_wild_has_its_minute_and_no_more(callers: Callers) -> None:
    moment = 0.0
    guard = Guard(GuardLimits(), callers, monotonic=lambda: moment)
    answers = [guard.judge(order(Target("address", f"192.0.2.{number}")), NOW) for number in range(250)]
    assert sum(isinstance(answer, Permit) for answer in answers) == GuardLimits().blocks_per_minute
    assert all(answer.rule == "rate" for answer in answers if isinstance(answer, Refusal))


def test_an_analyst_who_changes_names_has_one_rate(callers: Callers) -> None:
    guard = Guard(GuardLimits(), callers, monotonic=lambda: 0.0)
    targets = [Target("address", f"192.0.2.{number}") for number in range(100)]
    orders = [order(target, f"analyst:name-{number} as root") for number, target in enumerate(targets)]
    assert sum(isinstance(guard.judge(each, NOW), Permit) for each in orders) == GuardLimits().blocks_per_minute


def test_after_a_restart_the_guard_knows_what_it_knew(callers: Callers) -> None:
    again = Callers(Activity(limit=100_000), Activity(limit=100_000, window=WEEK))
    again.hour.restore(callers.hour.snapshot(), NOW)
    again.week.restore(callers.week.snapshot(), NOW)
    for value in ("203.0.113.9/32", "203.0.113.8/31", "10.20.1.0/24", "10.30.2.0/24"):
        assert isinstance(Guard(LIMITS, again).judge(order(Target.of("range", value)), NOW), Hold)
