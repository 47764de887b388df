"""A policy that misbehaves is stopped at its limit, its question refused, and that is counted."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY

from policy import AccessRequest, Bundle, Pdp, PolicyError, Principal, compile_bundle, embedded_pdp
from policy.rego import compile_program
from policy.rego.limits import Limits
from policy.rego.values import LimitExceeded

ALICE = Principal(id="person:alice", kind="person", issuer="bank")
NESTED = """package portcullis.access

decision := {"effect": "allow"} if {
	some a in input.body
	some b in input.body
	some c in input.body
	a + b + c < 0
}
"""
SLOW = {
    "nested loops": "p if {\n\tsome a in input\n\tsome b in input\n\tsome c in input\n\ta + b + c < 0\n}",
    "comprehension": "p := count([1 | some a in input; some b in input; some c in input])",
    "function in a loop": "f(x) := sum([y | some y in input; some z in input; x != z])\np := [f(x) | some x in input]",
    "every": "p if {\n\tevery a in input {\n\t\tsome b in input\n\t\tsome c in input\n\t\ta + b + c < 0\n\t}\n}",
    "walk": "p if {\n\twalk(input, [_, x])\n\twalk(input, [_, y])\n\twalk(input, [_, z])\n\tx == [y, z, 0]\n}",
    "pairs": "p if {\n\tsome i, a in input\n\tsome j, b in input\n\tsome k, c in input\n\ti + j + k + a + b + c < 0\n}",
    "with": "q if { some a in input; some b in input; a + b < 0 }\np if { some x in input; q with data.x as x }",
}


def counted(fault: str) -> float:
    labels = {"question": "access", "fault": fault}
    return REGISTRY.get_sample_value("portcullis_policy_errors_total", labels) or 0.0


def request(body: Any) -> AccessRequest:
    return AccessRequest(principal=ALICE, action="GET", service="s", path="/x", body=body)


def pdp(rego: str) -> Pdp:
    return embedded_pdp(Bundle({"access.rego": rego}, {}))


def test_a_policy_that_loops_over_a_huge_input_is_refused_and_counted() -> None:
    asked, before = pdp(NESTED), counted("policy_limit")
    decision = asked.decide(request(list(range(1000))))
    assert (decision.effect, decision.reasons) == ("deny", ("policy_limit",))
    assert counted("policy_limit") == before + 1
    assert asked.decide(request([1, 2])).reasons == ("no_rule",)


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("limits", [Limits(steps=20_000, seconds=60), Limits(steps=10**9, seconds=0.02)])
def test_steps_and_time_are_limited(name: str, limits: Limits) -> None:
    program = compile_program({"a.rego": f"package a\n{SLOW[name]}\n"}, ["a/p"], limits=limits)
    with pytest.raises(LimitExceeded):
        program.evaluate("a/p", list(range(300)), {})


def test_what_stays_within_its_limits_is_answered() -> None:
    program = compile_program(
        {"a.rego": "package a\np := count([1 | some a in input])"}, ["a/p"], limits=Limits(seconds=60)
    )
    assert program.evaluate("a/p", list(range(100_000)), {}) == 100_000


@pytest.mark.parametrize("odd", ["high", ["person:alice"], None, {"person:alice": "high"}, {"person:alice": None}, 7])
def test_data_of_a_type_that_policy_does_not_expect_is_refused_and_counted(odd: Any) -> None:
    rule = 'package portcullis.access\ndecision := {"effect": "allow"} if data.limits[input.principal.id] * 2 > 5'
    asked, before = embedded_pdp(Bundle({"access.rego": rule}, {"limits": {"person:alice": 6}})), counted("no_rule")
    assert asked.decide(request(None)).allowed
    asked.put_data(("limits",), odd)
    assert asked.decide(request(None)).reasons == ("no_rule",)
    assert counted("no_rule") == before + 1


def test_a_rule_that_loops_before_anybody_asks_is_refused_at_load() -> None:
    numbers = "numbers.range(1, 2000)"
    loops = f"package portcullis.access\ndecision := count([1 | some a in {numbers}; some b in {numbers}; a != b])"
    with pytest.raises(PolicyError, match=r"access\.rego:2:1: the policy"):
        compile_bundle(Bundle({"access.rego": loops}, {}))
