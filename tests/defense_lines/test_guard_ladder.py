"""From a permit to a second person: canaries, repeats, four eyes, and the SOC's own rules."""

from __future__ import annotations

import msgspec
import pytest

from defense_lines import (
    WEEK,
    Activity,
    Approved,
    Callers,
    Guard,
    GuardLimits,
    Hold,
    Leave,
    Override,
    Permit,
    Refusal,
    same_person,
)
from policy import BlockPolicy, Bundle, Cause, Guarded, Pdp, Target, embedded_pdp, read_bundle

NOW = 1_800_000_000.0
LIMITS = GuardLimits(blocks_per_minute=10_000)
KIM = Approved(by="analyst:kim as soc", reason="I looked", principals=6)


def block(
    value: str, by: str = "detector:flow", now: float = NOW, life: float = 600, kind: str = "range"
) -> BlockPolicy:
    cause = Cause(reason="scan", by=by)
    target = Target(kind, value)  # type: ignore[arg-type]
    return BlockPolicy(id="b-0000000000000001", target=target, created=now, expires=now + life, cause=cause)


def callers(people: int = 20) -> Callers:
    hour = Activity()
    for number in range(people):
        hour.saw(f"person:{number}", f"person:{number}", f"10.1.0.{number}", f"s-{number}", NOW)
    return Callers(hour, Activity(window=WEEK))


def test_a_canary_stands_on_one_line_and_then_on_all() -> None:
    guard = Guard(LIMITS, callers())
    asked = block("10.1.0.0/29")  # 8 of 20
    canary = guard.judge(asked, NOW)
    assert isinstance(canary, Permit)
    assert (canary.block.lines, canary.whole, canary.bearable) == (("edge",), asked, 4)
    assert "8 or more of the last hour's 20 good principals" in canary.detail
    follows = guard.judge(msgspec.structs.replace(asked, id="b-0000000000000002"), NOW, Leave(watched=True))
    assert isinstance(follows, Permit)
    assert (follows.block.lines, follows.whole) == ((), None)


def test_an_operator_may_skip_the_canary_on_record() -> None:
    boss = Override(by="analyst:jo", reason="now")
    permit = Guard(LIMITS, callers()).judge(block("10.1.0.0/29"), NOW, boss)
    assert isinstance(permit, Permit)
    assert (permit.override, permit.whole, permit.bearable) == (boss, None, 12)


def test_who_approves_is_told_again_when_it_has_grown() -> None:
    crowd = callers()
    guard = Guard(LIMITS, crowd)
    held = guard.judge(block("10.1.0.0/28"), NOW)
    assert isinstance(held, Hold)
    assert (held.rule, held.radius.principals) == ("blast_radius", 16)
    answer = guard.judge(held.block, NOW, Leave(approved=KIM))  # six, kim was told
    assert isinstance(answer, Hold)
    assert (answer.rule, answer.reason) == ("grown", "would hit 16 good principals now, and 6 when it was shown")
    told = msgspec.structs.replace(KIM, principals=16)
    approved = guard.judge(held.block, NOW, Leave(approved=told))
    assert isinstance(approved, Permit)
    assert approved.whole is not None  # by canary all the same, for harm beyond what was approved
    assert (approved.bearable, approved.detail.partition(";")[0]) == (20, "approved by a second person")


@pytest.mark.parametrize(
    ("asked", "approves", "same"),
    [
        ("analyst:jo as root", "analyst:kim as soc", False),
        ("analyst:jo as root", "analyst:kim as root", True),
        ("analyst:jo as root", "analyst:jo as soc", True),
        ("analyst:jo as root", "analyst:JO  as soc", True),
        ("analyst:jo as root", "analyst:\uff4ao as soc", True),
        ("analyst:jo as root", "analyst:root", True),
        ("analyst:jo as root", "analyst:jo", True),
        ("analyst:root", "analyst:soc", False),
        ("analyst:root", "analyst:root as soc", True),
        ("analyst:kim as soc as root", "analyst:kim as soc", False),
        ("detector:flow", "analyst:kim as soc", False),
        ("detector:flow", "detector:flow", True),
        ("analyst:kim", "detector:kim", False),
    ],
)
def test_four_eyes_are_two_accounts_and_two_names(asked: str, approves: str, same: bool) -> None:
    assert same_person(asked, approves) is same
    assert same_person(approves, asked) is same
    held = Guard(LIMITS, callers()).judge(block("10.1.0.0/28", asked), NOW)
    assert isinstance(held, Hold)
    approved = Approved(by=approves, reason="r", principals=16)
    answer = Guard(LIMITS, callers()).judge(block("10.1.0.0/28", asked), NOW, Leave(approved=approved))
    assert (isinstance(answer, Hold) and answer.rule == "four_eyes") is same


def test_what_comes_back_is_blocked_for_longer_each_time() -> None:
    guard, now, lives, detail = Guard(LIMITS), NOW, list[float](), ""
    for _ in range(9):
        permit = guard.judge(block("192.0.2.7", now=now, kind="address"), now)
        assert isinstance(permit, Permit)
        detail = permit.detail
        lives.append(permit.block.expires - now)
        assert (
            guard.judge(block("192.0.2.7", now=now + 1, kind="address"), now + 1).block.expires >= permit.block.expires
        )
        now = permit.block.expires + 60
    assert lives == [600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400]
    assert "comes back for the 8. time: 86400 seconds instead of 600" in detail
    person = guard.judge(block("192.0.2.7", "analyst:jo", now, kind="address"), now)
    assert person.block.expires == now + 600  # who says how long means it
    guard.lifted(permit.block)
    assert guard.judge(block("192.0.2.7", now=now, kind="address"), now).block.expires == now + 600
    later = now + 2 * 86_400
    assert guard.judge(block("192.0.2.7", now=later, kind="address"), later).block.expires == later + 600


def test_what_did_harm_waits_for_a_person_for_a_day() -> None:
    guard = Guard(LIMITS)
    guard.harmed(Target("address", "192.0.2.7"), NOW)
    held = guard.judge(block("192.0.2.7", kind="address"), NOW + 5)
    assert isinstance(held, Hold)
    assert (held.rule, held.reason) == (
        "rolled_back",
        "a block of it harmed good callers 5 seconds ago and was taken back",
    )
    assert isinstance(guard.judge(held.block, NOW + 5, Leave(approved=KIM)), Permit)
    later = NOW + 86_401
    assert isinstance(guard.judge(block("192.0.2.7", now=later, kind="address"), later), Permit)


def test_considering_remembers_nothing() -> None:
    guard = Guard(GuardLimits(blocks_per_minute=1), callers(), monotonic=lambda: 0.0)
    for _ in range(5):
        assert isinstance(guard.consider(block("10.1.0.0/29"), NOW), Permit)
    assert isinstance(guard.judge(block("10.1.0.0/29"), NOW), Permit)
    assert isinstance(guard.consider(block("10.1.0.0/29"), NOW), Refusal)


def soc(rego: str, data: dict[str, object] | None = None) -> Pdp:
    sources = {**read_bundle().sources, "starter/guard.rego": f"package portcullis.guard\n\n{rego}"}
    return embedded_pdp(Bundle(sources, data or {}))


def ruled(pdp: Pdp) -> Guard:
    return Guard(
        LIMITS, callers(), rules=lambda block, radius, now: pdp.guarded(block, msgspec.to_builtins(radius), now)
    )


def test_the_socs_rules_refuse_and_hold_and_permit_nothing() -> None:
    pdp = soc(
        'deny contains "not on a Sunday" if input.block.target.value == "192.0.2.0/24"\n\n'
        'hold contains sprintf("%d are too many", [input.radius.principals]) if input.radius.principals > 2\n\n'
        'allow contains "whatever"\n'
    )
    refused = ruled(pdp).judge(block("192.0.2.0/24"), NOW)
    assert isinstance(refused, Refusal)
    assert (refused.rule, refused.reason) == ("policy", "not on a Sunday")
    held = ruled(pdp).judge(block("10.1.0.0/30"), NOW)
    assert isinstance(held, Hold)
    assert (held.rule, held.reason) == ("policy", "4 are too many")
    assert isinstance(ruled(pdp).judge(block("198.51.100.0/24"), NOW), Permit)
    never = ruled(pdp).judge(block("0.0.0.0/0"), NOW)
    assert isinstance(never, Refusal)
    assert never.rule == "never_block"


@pytest.mark.parametrize(
    "rule",
    [
        "deny := 7",
        "hold contains 7",
        "deny contains x if { x := 1 / 0 }",
        "deny := input.block.id\n\ndeny := input.now",
    ],
)
def test_rules_that_fail_hold_what_they_were_asked_about(rule: str) -> None:
    sources = {**read_bundle().sources, "starter/guard.rego": f"package portcullis.guard\n\n{rule}\n"}
    guarded = embedded_pdp(Bundle(sources, {})).guarded(block("192.0.2.0/24"), {}, NOW)
    undefined = "1 / 0" in rule  # as OPA has it
    assert guarded == (Guarded() if undefined else Guarded(hold=("the guard's policy failed: policy_error",)))


def test_no_rules_of_the_socs_add_nothing() -> None:
    sources = {name: text for name, text in read_bundle().sources.items() if "guard" not in name}
    assert embedded_pdp(Bundle(sources, {})).guarded(block("192.0.2.0/24"), {}, NOW) == Guarded()


@pytest.mark.parametrize(
    ("value", "kind", "by", "held"),
    [
        ("192.0.2.0/24", "range", "detector:flow", ()),
        ("192.0.2.0/23", "range", "detector:flow", ("a detector asks for a wide range",)),
        ("192.0.2.0/23", "range", "analyst:jo", ()),
        ("2001:db8::/56", "range", "detector:flow", ()),
        ("2001:db8::/48", "range", "detector:flow", ("a detector asks for a wide range",)),
        ("192.0.2.1", "address", "detector:flow", ()),
        ("workload:batch", "actor", "detector:access", ("a detector asks for a workload",)),
        ("agent:rates", "actor", "analyst:jo", ("agent:rates: sets the bank's rates",)),
    ],
)
def test_the_starters_rules(value: str, kind: str, by: str, held: tuple[str, ...]) -> None:
    data = {"guard": {"watched": {"agent:rates": "sets the bank's rates"}}}
    pdp = embedded_pdp(Bundle(read_bundle().sources, data))
    assert pdp.guarded(block(value, by, kind=kind), {}, NOW) == Guarded(hold=held)
