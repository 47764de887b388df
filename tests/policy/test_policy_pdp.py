"""The PDP's door: failures deny, data is live, revisions change as a whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from detectors import Verdict
from policy import (
    AccessRequest,
    Bundle,
    OpaServer,
    Pdp,
    PolicyError,
    Principal,
    compile_bundle,
    embedded_pdp,
    opa_pdp,
)
from policy.revision import Revision

PACKAGE = "package portcullis.access\n\n"
ALICE = Principal(id="person:alice", kind="person", issuer="bank", attributes={"limit": 5})


def request(**changes: Any) -> AccessRequest:
    fields = {"principal": ALICE, "action": "GET", "service": "s", "path": "/x/y", "time": 9.0}
    return AccessRequest(**{**fields, **changes})


def pdp_of(rule: str, data: Any = None) -> Pdp:
    return embedded_pdp(Bundle({"access.rego": PACKAGE + rule}, data or {}))


def revision_of(rule: str, data: Any = None) -> Revision:
    return compile_bundle(Bundle({"access.rego": PACKAGE + rule}, data or {}))


async def test_what_policy_sees() -> None:
    pdp = pdp_of('decision := {"effect": "allow", "obligations": input}')
    seen = pdp.decide(request(body={"a": [1]}, query="q=1", address="10.0.0.5")).obligations
    assert seen == {
        "version": 1,
        "principal": {
            "id": "person:alice",
            "kind": "person",
            "issuer": "bank",
            "actor": "person:alice",
            "actors": [],
            "proof": [],
            "assurance": "",
            "authenticated": 0.0,
            "scopes": [],
            "roles": [],
            "client": "",
            "audience": [],
            "agent": {},
            "attributes": {"limit": 5},
        },
        "action": "GET",
        "service": "s",
        "path": "/x/y",
        "segments": ["x", "y"],
        "query": "q=1",
        "host": "",
        "address": "10.0.0.5",
        "stream": False,
        "body": {"a": [1]},
        "device": None,
        "context": {},
        "time": 9.0,
    }
    assert (await pdp.ask(request())).allowed


BAD_ANSWERS = {
    "text": '"allow"',
    "true": "true",
    "unknown effect": '{"effect": "permit"}',
    "effect missing": '{"reasons": []}',
    "effect true": '{"effect": true}',
    "field unknown": '{"effect": "allow", "reason": "x"}',
    "reasons of numbers": '{"effect": "allow", "reasons": [1]}',
    "reasons of text": '{"effect": "allow", "reasons": "because"}',
    "obligations of text": '{"effect": "allow", "obligations": "x"}',
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_malformed_answer_denies(name: str) -> None:
    decision = pdp_of(f"decision := {BAD_ANSWERS[name]}").decide(request())
    assert (decision.effect, decision.reasons) == ("deny", ("policy_error",))


def test_undefined_denies() -> None:
    decision = pdp_of('decision := {"effect": "allow"} if input.nothing').decide(request())
    assert (decision.effect, decision.reasons) == ("deny", ("no_rule",))


def test_a_contradiction_denies() -> None:
    rule = 'decision := {"effect": "allow"} if input.action\n\ndecision := {"effect": "deny"} if input.service'
    assert pdp_of(rule).decide(request()).reasons == ("policy_error",)


def test_a_body_that_is_not_json_denies() -> None:
    pdp = pdp_of('decision := {"effect": "allow"} if input.body.amount <= 5')
    assert pdp.decide(request(body={"amount": 5})).allowed
    assert pdp.decide(request(body={"amount": float("nan")})).reasons == ("policy_error",)


def test_decisions_name_what_they_depend_on_and_have_ids_of_their_own() -> None:
    pdp = pdp_of('decision := {"effect": "allow"} if data.risk[input.principal.id] == "low"')
    pdp.put_data(("risk", "person:alice"), "high")
    decisions = [pdp.decide(request()) for _ in range(1000)]
    assert decisions[0].depends == {("data", "risk", "person:alice"), ("input", "principal", "id")}
    assert len({decision.id for decision in decisions}) == 1000
    assert all(decision.id.startswith("d-") and len(decision.id) == 18 for decision in decisions)


def test_live_data_survives_a_new_revision() -> None:
    rule = 'decision := {"effect": "allow", "reasons": [data.risk[input.principal.id], data.base]}'
    pdp = pdp_of(rule, {"base": "one"})
    pdp.put_data(("risk", "person:alice"), "high")
    assert pdp.decide(request()).reasons == ("high", "one")
    pdp.activate(revision_of(rule, {"base": "two"}))
    assert pdp.decide(request()).reasons == ("high", "two")
    pdp.remove_data(("risk", "person:alice"))
    assert pdp.decide(request()).reasons == ("no_rule",)


async def test_no_response_rule_does_nothing_and_a_bad_one_is_an_error() -> None:
    fields = {"detector": "access", "kind": "actor", "subject": "a", "technique": "T1", "model": "m", "evidence": ()}
    verdict = msgspec.convert({**fields, "id": "v-1", "time": 1, "since": 0, "score": 1, "threshold": 0}, Verdict)
    access = {"access.rego": PACKAGE + 'decision := {"effect": "deny"}'}
    silent = await embedded_pdp(Bundle(access, {})).respond(verdict, "", 1.0)
    assert (silent.blocks, silent.risks, silent.why) == ((), (), "no response rule applies")
    for ttl in ('"1h"', "0", "-5"):
        block = f'{{"kind": "actor", "value": "a", "ttl": {ttl}, "reason": "r"}}'
        bad = {**access, "response.rego": f'package portcullis.response\n\nresponse := {{"blocks": [{block}]}}'}
        answer = await embedded_pdp(Bundle(bad, {})).respond(verdict, "", 1.0)
        assert (answer.blocks, answer.why) == ((), "policy_error")


def test_a_bundle_without_the_access_rule_is_refused() -> None:
    with pytest.raises(PolicyError, match="no module has the rule"):
        compile_bundle(Bundle({"a.rego": PACKAGE + "other := 1"}, {}))


async def test_an_opa_that_cannot_be_reached_refuses() -> None:
    pdp = opa_pdp(Bundle({"a.rego": PACKAGE + 'decision := {"effect": "allow"}'}, {}), OpaServer(port=1))
    try:
        assert not pdp.immediate
        decision = await pdp.ask(request())
        assert (decision.effect, decision.reasons) == ("deny", ("policy_unavailable",))
        assert pdp.decide(request()).effect == "deny"
    finally:
        await pdp.aclose()


def test_decisions_are_counted_by_effect() -> None:
    def counted() -> dict[str, float]:
        return {
            effect: REGISTRY.get_sample_value("portcullis_policy_decisions_total", {"effect": effect}) or 0
            for effect in ("allow", "deny", "step_up")
        }

    before = counted()
    pdp = pdp_of('decision := {"effect": "allow"} if input.path == "/x"')
    for path in ("/x", "/x", "/y"):
        pdp.decide(request(path=path))
    assert {effect: count - before[effect] for effect, count in counted().items()} == {
        "allow": 2,
        "deny": 1,
        "step_up": 0,
    }


def test_reasons_of_a_set_come_in_order() -> None:
    rule = 'decision := {"effect": "deny", "reasons": {"c", "a", "b"}}'
    assert pdp_of(rule).decide(request()).reasons == ("a", "b", "c")
