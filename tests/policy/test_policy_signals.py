"""What the starter policy makes of security events; and that a policy which fails lets nobody acknowledge one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from policy import (
    Bundle,
    DeviceChange,
    Named,
    OpaServer,
    Pdp,
    RevocationOrder,
    RiskChange,
    Signalled,
    compile_bundle,
    embedded_pdp,
    opa_pdp,
    read_bundle,
    signals_input_schema,
)
from policy.question import signals_input
from tests.policy.real_opa import RealOpa, opa_binary

IDP = "https://idp.example"
NOW = 1_700_000_000.0
ISSUED, HAPPENED = NOW - 5, NOW - 60
DAY = 86400
ALICE, SPA = "person:alice", "workload:spiffe://bank.example/batch"
ACCESS = {"access.rego": 'package portcullis.access\n\ndecision := {"effect": "deny"}\n'}
FAILED_BY = ("no_rule", "policy_error", "policy_unavailable")


def name(form: str, value: str, issuer: str = "") -> dict[str, str]:
    return {"format": form, "issuer": issuer, "value": value}


USER = name("iss_sub", "alice", IDP)
SUBJECT = Named("subject", f"{IDP} alice")
LOGIN = Named("login", f"{IDP} s-1")
LAPTOP = Named("device", "laptop-7")


def event(kind: str, subject: dict[str, list[dict[str, str]]], **claims: Any) -> dict[str, Any]:
    told = {"type": kind, "uri": f"https://events.example/{kind}", "issuer": IDP, "jti": "j-1", "issued": ISSUED}
    return {**told, "txn": "", "claims": claims, "subject": subject}


def stopped(kind: str, *named: Named, before: float = ISSUED) -> dict[str, set[Any]]:
    why = f"{kind} of {IDP}"
    orders = {RevocationOrder(one.kind, one.value, before, DAY + 300, why) for one in named}  # type: ignore[arg-type]
    return {"cuts": set(named), "revocations": orders}


def risk(kind: str, level: str, principal: str = ALICE) -> set[RiskChange]:
    return {RiskChange(principal, level, DAY, f"{kind} of {IDP}")}  # type: ignore[arg-type]


COMPLEX = {"user": [USER], "session": [name("opaque", "s-1", IDP)], "tenant": [name("opaque", "t")]}
ON_DEVICE = {"user": [USER], "device": [name("iss_sub", "laptop-7", "https://mdm.example")]}
CREDENTIAL = "credential-change"
ASSURANCE = "assurance-level-change"
POSTURE = "device-compliance-change"
RISK = "risk-level-change"
ASKED: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, set[Any]]]] = {
    "session of a user": (event("session-revoked", COMPLEX), (ALICE,), stopped("session-revoked", LOGIN)),
    "session by its token": (
        event("session-revoked", {"": [name("jwt_id", "t-9", IDP)]}),
        (ALICE,),
        stopped("session-revoked", Named("token", f"{IDP} t-9")),
    ),
    "session as its sender calls it": (
        event("session-revoked", {"": [name("opaque", "s-1")]}, event_timestamp=HAPPENED),
        (ALICE,),
        stopped("session-revoked", LOGIN, before=HAPPENED),
    ),
    "all sessions of a user, told from the future": (
        event("session-revoked", {"": [USER]}, event_timestamp=NOW + DAY),
        (ALICE,),
        stopped("session-revoked", SUBJECT, before=NOW),
    ),
    "user on a device": (
        event("session-revoked", ON_DEVICE),
        (ALICE,),
        stopped("session-revoked", SUBJECT, LAPTOP),
    ),
    "user by two names": (
        event("session-revoked", {"user": [USER, name("email", "alice@bank.example")]}),
        (),
        stopped("session-revoked", SUBJECT, Named("email", "alice@bank.example")),
    ),
    "user by an id of ours": (
        event("session-revoked", {"": [name("iss_sub", ALICE, IDP)]}),
        (ALICE,),
        stopped("session-revoked", SUBJECT),
    ),
    "user by an account": (
        event("session-revoked", {"": [name("account", "acct:alice@bank.example")]}),
        (ALICE, "agent:other"),
        stopped("session-revoked", Named("principal", ALICE)),
    ),
    "agent": (
        event("session-revoked", {"": [name("iss_sub", "bot", IDP)]}),
        ("agent:bot", "agent:other"),
        stopped("session-revoked", Named("subject", f"{IDP} bot"), Named("actor", "agent:bot")),
    ),
    "agent that nobody knows yet": (
        event("session-revoked", {"": [name("iss_sub", "agent:bot", IDP)]}),
        (),
        stopped("session-revoked", Named("subject", f"{IDP} bot"), Named("actor", "agent:bot")),
    ),
    "workload": (
        event("session-revoked", {"": [name("uri", "spiffe://bank.example/batch")]}),
        (SPA,),
        stopped("session-revoked", Named("principal", SPA)),
    ),
    "whole tenant": (event("session-revoked", {"tenant": [name("opaque", "t")]}), (ALICE,), {}),
    "logout of a session": (
        event("logout", {"user": [USER], "session": [name("opaque", "s-1", IDP)]}),
        (ALICE,),
        stopped("logout", LOGIN),
    ),
    "logout of a user": (event("logout", {"user": [USER]}), (ALICE,), stopped("logout", SUBJECT)),
    "password taken away": (
        event(CREDENTIAL, {"": [USER]}, change_type="revoke", credential_type="password"),
        (ALICE,),
        stopped(CREDENTIAL, SUBJECT),
    ),
    "key deleted": (event(CREDENTIAL, {"": [USER]}, change_type="delete"), (ALICE,), stopped(CREDENTIAL, SUBJECT)),
    "key added": (
        event(CREDENTIAL, {"": [USER]}, change_type="create"),
        (ALICE,),
        {"risks": risk(CREDENTIAL, "medium")},
    ),
    "key added by who is at risk": (event(CREDENTIAL, {"": [USER]}, change_type="update"), ("person:rita",), {}),
    "claims changed": (
        event("token-claims-change", {"": [name("jwt_id", "t-9", IDP)]}, claims={"role": "guest"}),
        (ALICE,),
        {"again": {Named("token", f"{IDP} t-9")}},
    ),
    "assurance fell": (
        event(ASSURANCE, {"": [USER]}, current_level="nist-aal1", change_direction="decrease"),
        (ALICE,),
        {"again": {SUBJECT}, "risks": risk(ASSURANCE, "high")},
    ),
    "assurance changed": (
        event(ASSURANCE, {"": [USER]}, current_level="nist-aal1"),
        (ALICE,),
        {"again": {SUBJECT}, "risks": risk(ASSURANCE, "high")},
    ),
    "assurance rose": (
        event(ASSURANCE, {"": [USER]}, current_level="nist-aal3", change_direction="increase"),
        (ALICE,),
        {},
    ),
    "device not compliant": (
        event(POSTURE, {"device": ON_DEVICE["device"]}, current_status="not-compliant"),
        (ALICE,),
        {"devices": {DeviceChange("laptop-7", False)}, "again": {LAPTOP}},
    ),
    "device compliant": (
        event(POSTURE, {"": [name("opaque", "laptop-7")]}, current_status="compliant"),
        (),
        {"devices": {DeviceChange("laptop-7", True)}},
    ),
    "user at risk": (
        event(RISK, {"": [USER]}, principal="USER", current_level="MEDIUM"),
        (ALICE,),
        {"risks": risk(RISK, "medium")},
    ),
    "tenant at risk": (event(RISK, {"": [USER]}, principal="TENANT", current_level="HIGH"), (ALICE,), {}),
    "session established": (event("session-established", COMPLEX, acr="nist-aal2"), (ALICE,), {}),
    "session presented": (event("session-presented", COMPLEX), (ALICE,), {}),
    "unknown": (event("urn:example:event", {"": [USER]}), (ALICE,), {}),
}
DATA = {"risk": {"person:rita": "high"}}


@pytest.fixture(scope="module")
def pdp() -> Pdp:
    return embedded_pdp(Bundle(read_bundle().sources, DATA))


def lists(answer: Signalled) -> dict[str, set[Any]]:
    """What is ordered, by name, where there is anything; each of it once."""
    ordered = {field: getattr(answer, field) for field in ("cuts", "again", "revocations", "risks", "devices")}
    assert all(len(set(orders)) == len(orders) for orders in ordered.values())
    return {field: set(orders) for field, orders in ordered.items() if orders}


@pytest.mark.parametrize("case", ASKED)
async def test_the_starter_policy(pdp: Pdp, case: str) -> None:
    asked, principals, wanted = ASKED[case]
    answer = await pdp.signalled(asked, principals, NOW)
    assert lists(answer) == wanted
    assert (answer.failed, "nothing to do" in answer.why) == (False, not wanted)


@pytest.fixture
async def opa() -> AsyncIterator[RealOpa]:
    real = RealOpa(opa_binary())
    await real.start()
    try:
        yield real
    finally:
        await real.kill()


async def test_a_real_opa_answers_the_same(opa: RealOpa) -> None:
    remote = opa_pdp(Bundle(read_bundle().sources, DATA), OpaServer(port=opa.port, timeout=10))
    try:
        for asked, principals, wanted in ASKED.values():
            answer = await remote.signalled(asked, principals, NOW)
            assert (lists(answer), answer.failed) == (wanted, False)
    finally:
        await remote.aclose()


texts = st.text(max_size=12)
names = st.fixed_dictionaries(
    {
        "format": st.sampled_from(signals_input_schema()["$defs"]["name"]["properties"]["format"]["enum"]),
        "issuer": texts,
        "value": st.sampled_from(["alice", "agent:bot", "person:alice", "spiffe://a/b"])
        | st.text(min_size=1, max_size=9),
    }
)
members = st.sampled_from(["", "user", "device", "session", "application", "tenant", "org_unit", "group"])
claims = st.fixed_dictionaries(
    {},
    optional={
        "event_timestamp": st.integers(0, 10**11) | st.decimals(0, 2 * 10**9, places=20),
        "change_type": st.sampled_from(["create", "revoke", "update", "delete"]),
        "change_direction": st.sampled_from(["increase", "decrease"]),
        "current_status": st.sampled_from(["compliant", "not-compliant"]),
        "current_level": st.sampled_from(["LOW", "MEDIUM", "HIGH"]),
        "principal": st.sampled_from(["USER", "DEVICE", "SESSION"]),
        "reason_admin": st.dictionaries(texts, texts),
    },
)
events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(sorted({asked["type"] for asked, _, _ in ASKED.values()})) | texts,
        "uri": texts,
        "issuer": texts,
        "jti": texts,
        "issued": st.floats(0, 1e11),
        "txn": texts,
        "claims": claims,
        "subject": st.dictionaries(members, st.lists(names, min_size=1, max_size=3), min_size=1, max_size=3),
    }
)
ids = st.lists(st.builds("{}:{}".format, st.sampled_from(["person", "agent", "workload"]), texts), max_size=3)


@given(events, ids, st.floats(0, 2e9))
def test_policy_sees_what_the_schema_says(asked: dict[str, Any], principals: list[str], now: float) -> None:
    validator = jsonschema.Draft202012Validator(signals_input_schema())
    validator.validate(signals_input(asked, principals, now))


@given(asked=events, principals=ids, now=st.floats(0, 2e9))
async def test_whatever_the_schema_admits_has_an_answer(
    pdp: Pdp, asked: dict[str, Any], principals: list[str], now: float
) -> None:
    answer = await pdp.signalled(asked, principals, now)
    assert not answer.failed
    assert {order.value for order in answer.revocations} == {one.value for one in answer.cuts}
    assert all(0 <= order.before <= now for order in answer.revocations)


def failures() -> dict[str, float]:
    counted = {fault: {"question": "signals", "fault": fault} for fault in FAILED_BY}
    return {
        fault: REGISTRY.get_sample_value("portcullis_policy_errors_total", labels) or 0
        for fault, labels in counted.items()
    }


BAD = {
    "no rule": ("other := 1", "no_rule"),
    "a rule that says nothing": ("signalled := {} if input.event.nothing", "no_rule"),
    "text": ('signalled := "cut"', "policy_error"),
    "a member unknown": ('signalled := {"cut": []}', "policy_error"),
    "a kind unknown": ('signalled := {"cuts": [{"kind": "person", "value": "a"}]}', "policy_error"),
    "nobody": ('signalled := {"cuts": [{"kind": "subject", "value": ""}]}', "policy_error"),
    "a contradiction": ('signalled := {"why": "a"} if input.now\n\nsignalled := {} if input.event', "policy_error"),
    "no time to stand": (
        'signalled := {"revocations": [{"kind": "login", "value": "a", "before": 1, "ttl": 0, "reason": ""}]}',
        "policy_error",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_policy_that_fails_says_so(case: str) -> None:
    rule, fault = BAD[case]
    broken = embedded_pdp(Bundle({**ACCESS, "signals.rego": f"package portcullis.signals\n\n{rule}\n"}, {}))
    before = failures()
    answer = await broken.signalled(event("logout", {"user": [USER]}), (), NOW)
    assert (answer, failures()) == (Signalled(why=fault, failed=True), {**before, fault: before[fault] + 1})


async def test_an_event_that_is_not_json_fails(pdp: Pdp) -> None:
    answer = await pdp.signalled(event("logout", {"user": [USER]}, odd=float("nan")), (), NOW)
    assert (answer.failed, answer.why) == (True, "policy_error")


async def test_a_time_may_be_more_exact_than_a_double(pdp: Pdp) -> None:
    told = event("logout", {"user": [USER]}, event_timestamp=Decimal("1600000000.123456789012345678"))
    (order,) = (await pdp.signalled(told, (), NOW)).revocations
    assert order.before == 1600000000.1234567


async def test_an_opa_that_cannot_be_reached_fails() -> None:
    remote = opa_pdp(read_bundle(), OpaServer(port=1))
    try:
        answer = await remote.signalled(event("logout", {"user": [USER]}), (), NOW)
        assert (answer.failed, answer.why) == (True, "policy_unavailable")
    finally:
        await remote.aclose()


async def test_the_starters_rules_stand_in_for_a_bank_that_has_none(tmp_path: Path) -> None:
    (tmp_path / "access.rego").write_text(ACCESS["access.rego"])
    asked = event("logout", {"user": [USER]})
    answer = await embedded_pdp(read_bundle([tmp_path])).signalled(asked, (), NOW)
    assert answer.cuts == (SUBJECT,)
    own = "# ours\npackage portcullis.signals\n\nsignalled := {}\n"
    (tmp_path / "own.rego").write_text(own)
    bundle = read_bundle([tmp_path])
    assert set(bundle.sources.values()) == {ACCESS["access.rego"], own}
    assert await embedded_pdp(bundle).signalled(asked, (), NOW) == Signalled()
    assert compile_bundle(bundle).program.has_rule("portcullis/signals/signalled")
