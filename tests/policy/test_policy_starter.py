"""The starter policy at the demo bank: who asks for what, and what they get."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from detectors import Verdict
from policy import AccessRequest, Actor, Bundle, Pdp, Principal, embedded_pdp, read_bundle
from policy.response import BlockOrder, RiskChange

NOW = 1_700_000_000.0
DATA = {"accounts": {"1001": {"owner": "person:alice"}, "1002": {"owner": "person:bob"}}}
ALICE = Principal(
    id="person:alice", kind="person", issuer="bank", scopes=("accounts:read", "payments:write", "ledger:read")
)
BOT = Actor("agent:invoice-bot", "agent")


def agent(**changes: Any) -> Principal:
    fields = {"id": "person:alice", "kind": "person", "issuer": "bank", "scopes": ALICE.scopes, "actors": (BOT,)}
    return Principal(**{**fields, "attributes": {"limit": 500}, **changes})


def registered_agent(**record: Any) -> Principal:
    return agent(attributes={"limit": 10**6}, agent={"id": BOT.id, "tools": [], "amounts": {}, **record})


READS = registered_agent(tools=["accounts.read", "ledger.read"], amounts={"EUR": 500})
PAYS = registered_agent(tools=["payments.create"], amounts={"EUR": 500, "CHF": 99.95})
NO_AMOUNTS = registered_agent(tools=["payments.create"])

TINA = Principal(
    id="person:tina",
    kind="person",
    issuer="bank",
    scopes=("payments:write",),
    roles=("teller",),
    attributes={"limit": 10_000},
)
BATCH = Principal(id="workload:spiffe://bank.example/batch", kind="workload", issuer="bank.example")
FOREIGN = Principal(id="workload:spiffe://evil.example/batch", kind="workload", issuer="evil.example")
NO_SCOPE = Principal(id="person:alice", kind="person", issuer="bank")
LONELY = Principal(id="agent:x", kind="agent", issuer="bank", scopes=ALICE.scopes)
STRONG = {"assurance": "urn:bank:strong", "authenticated": NOW - 100}
OLD = {**STRONG, "authenticated": NOW - 301}


def get(path: str) -> dict[str, Any]:
    return {"action": "GET", "service": "accounts", "path": path}


def pay(amount: Any, source: str = "1001") -> dict[str, Any]:
    body = {"from": source, "to": "1002", "amount": amount}
    return {"action": "POST", "service": "accounts", "path": "/payments", "body": body}


def pay_in(currency: Any, amount: Any) -> dict[str, Any]:
    asked = pay(amount)
    return asked | {"body": asked["body"] | {"currency": currency}}


def call(method: str) -> dict[str, Any]:
    return {"action": "CALL", "service": "ledger", "path": f"/bank.Ledger/{method}"}


TABLE = [
    ("own account", ALICE, get("/accounts/1001"), {}, "allow", ("own_account",)),
    ("own statements", ALICE, get("/accounts/1001/statements"), {}, "allow", ("own_account",)),
    ("own stream", ALICE, get("/streams/accounts/1001"), {}, "allow", ("own_account",)),
    ("foreign account", ALICE, get("/accounts/1002"), {}, "deny", ("not_your_account",)),
    ("foreign stream", ALICE, get("/streams/accounts/1002"), {}, "deny", ("not_your_account",)),
    ("unknown account", ALICE, get("/accounts/9"), {}, "deny", ("not_your_account",)),
    ("no scope", NO_SCOPE, get("/accounts/1001"), {}, "deny", ("missing_scope",)),
    ("two reasons", NO_SCOPE, get("/accounts/1002"), {}, "deny", ("missing_scope", "not_your_account")),
    ("something else", ALICE, get("/admin"), {}, "deny", ("no_rule",)),
    ("too deep", ALICE, get("/accounts/1001/a/b"), {}, "deny", ("no_rule",)),
    ("deleting", ALICE, {**get("/accounts/1001"), "action": "DELETE"}, {}, "deny", ("no_rule",)),
    ("own payment", ALICE, pay(100), {}, "allow", ("own_payment",)),
    ("a person has no limit", ALICE, pay(10**6), {}, "allow", ("own_payment",)),
    ("foreign payment", ALICE, pay(1, "1002"), {}, "deny", ("not_your_account",)),
    ("negative amount", ALICE, pay(-1), {}, "deny", ("bad_amount",)),
    ("amount of text", ALICE, pay("100"), {}, "deny", ("bad_amount",)),
    ("amount true", ALICE, pay(True), {}, "deny", ("bad_amount",)),
    ("no body", ALICE, {**pay(1), "body": None}, {}, "deny", ("bad_amount", "not_your_account")),
    ("agent within limit", agent(), pay(500), {}, "allow", ("own_payment",)),
    ("agent over limit", agent(), pay(500.5), {}, "deny", ("over_limit",)),
    ("agent without limit", agent(attributes={}), pay(1), {}, "deny", ("over_limit",)),
    ("agent with a limit of text", agent(attributes={"limit": "900"}), pay(1), {}, "deny", ("over_limit",)),
    ("agent reads", agent(), get("/accounts/1001"), {}, "allow", ("own_account",)),
    ("agent at foreign account", agent(), get("/accounts/1002"), {}, "deny", ("not_your_account",)),
    ("agent for nobody", LONELY, get("/accounts/1001"), {}, "deny", ("no_delegation", "not_your_account")),
    ("agent with the tool", READS, get("/accounts/1001"), {}, "allow", ("own_account",)),
    ("agent with the tool, by gRPC", READS, call("Watch"), {}, "allow", ("ledger",)),
    ("agent without the tool", PAYS, get("/accounts/1001"), {}, "deny", ("tool_not_registered",)),
    ("agent without the tool, by gRPC", PAYS, call("Balance"), {}, "deny", ("tool_not_registered",)),
    ("agent without any tool", registered_agent(), get("/accounts/1001"), {}, "deny", ("tool_not_registered",)),
    ("agent without the tool pays", READS, pay(1), {}, "deny", ("tool_not_registered",)),
    ("agent within its amount", PAYS, pay(500), {}, "allow", ("own_payment",)),
    ("agent over its amount", PAYS, pay(500.01), {}, "deny", ("over_registered_amount",)),
    ("agent within another currency's amount", PAYS, pay_in("CHF", 99.95), {}, "allow", ("own_payment",)),
    ("agent over another currency's amount", PAYS, pay_in("CHF", 99.96), {}, "deny", ("over_registered_amount",)),
    ("agent in a currency of no amount", PAYS, pay_in("USD", 1), {}, "deny", ("over_registered_amount",)),
    ("agent in a currency of no kind", PAYS, pay_in(None, 1), {}, "deny", ("over_registered_amount",)),
    ("agent in a currency of many", PAYS, pay_in(["EUR"], 1), {}, "deny", ("over_registered_amount",)),
    ("agent without any amount", NO_AMOUNTS, pay(1), {}, "deny", ("over_registered_amount",)),
    ("agent's amount of text", PAYS, pay("1"), {}, "deny", ("bad_amount", "over_limit", "over_registered_amount")),
    ("agent at risk", agent(), get("/accounts/1001"), {"agent:invoice-bot": "high"}, "deny", ("agent_at_risk",)),
    ("agent at low risk", agent(), get("/accounts/1001"), {"agent:invoice-bot": "low"}, "allow", ("own_account",)),
    ("person at risk reads", ALICE, get("/accounts/1001"), {"person:alice": "high"}, "allow", ("own_account",)),
    ("person at risk pays", ALICE, pay(1), {"person:alice": "high"}, "step_up", ("high_risk",)),
    ("person at medium risk pays", ALICE, pay(1), {"person:alice": "medium"}, "allow", ("own_payment",)),
    ("agent for a person at risk pays", agent(), pay(1), {"person:alice": "high"}, "step_up", ("high_risk",)),
    ("strongly authenticated", agent(actors=(), **STRONG), pay(1), {"person:alice": "high"}, "allow", ("own_payment",)),
    ("strongly, but long ago", agent(actors=(), **OLD), pay(1), {"person:alice": "high"}, "step_up", ("high_risk",)),
    ("teller", TINA, pay(9_000), {}, "allow", ("teller_payment",)),
    ("teller over limit", TINA, pay(10_001), {}, "deny", ("over_limit",)),
    ("teller, no such account", TINA, pay(1, "9"), {}, "deny", ("no_rule",)),
    ("teller at risk", TINA, pay(1), {"person:tina": "high"}, "step_up", ("high_risk",)),
    ("workload reads any", BATCH, get("/accounts/1002"), {}, "allow", ("bank_workload",)),
    ("workload streams", BATCH, get("/streams/accounts/1002"), {}, "allow", ("bank_workload",)),
    ("workload pays", BATCH, pay(1), {}, "deny", ("missing_scope", "not_your_account")),
    ("foreign workload", FOREIGN, get("/accounts/1002"), {}, "deny", ("missing_scope", "not_your_account")),
    ("ledger", ALICE, call("Balance"), {}, "allow", ("ledger",)),
    ("ledger stream", ALICE, call("Watch"), {}, "allow", ("ledger",)),
    ("ledger without scope", TINA, call("Watch"), {}, "deny", ("missing_scope",)),
    ("other method", ALICE, call("Drop"), {}, "deny", ("no_rule",)),
]  # fmt: skip


@pytest.fixture(scope="module")
def pdp() -> Pdp:
    return embedded_pdp(Bundle(read_bundle().sources, DATA))


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_access(pdp: Pdp, row: tuple[str, Principal, dict[str, Any], dict[str, str], str, tuple[str, ...]]) -> None:
    _, principal, asked, risk, effect, reasons = row
    pdp.put_data(("risk",), risk)
    decision = pdp.decide(AccessRequest(principal=principal, time=NOW, **asked))
    assert (decision.effect, decision.reasons) == (effect, reasons)
    assert decision.revision == pdp.revision
    if effect == "step_up":
        assert decision.obligations == {"acr_values": "urn:bank:strong", "max_age": 300}


REGISTER = {
    "principals": {
        "person:alice": {"status": "active", "roles": ["customer"], "limit": 1_000},
        "person:bob": {"status": "suspended"},
        "person:tina": {"status": "active", "limit": 8_000},
        "person:ann": {"status": "active", "roles": ["auditor", "customer"]},
        "person:max": {"roles": ["cashier", "unheard-of"]},
        "person:eve": {"status": None, "roles": "auditor"},
        "agent:invoice-bot": {"status": "active", "limit": 300},
        "agent:idle-bot": {"status": "retired"},
        "agent:odd-bot": {"limit": "9999"},
        "agent:no-bot": {"limit": False},
    },
    "roles": {
        "customer": {"permissions": []},
        "auditor": {"permissions": ["accounts:read"], "limit": 9_999},
        "cashier": {"permissions": ["payments:write"], "limit": 200},
        "teller": {"permissions": ["payments:write"], "limit": 20_000},
    },
}
BOB, ANN, MAX, EVE = (
    Principal(id=f"person:{name}", kind="person", issuer="bank", scopes=ALICE.scopes)
    for name in ("bob", "ann", "max", "eve")
)
IDLE, ODD, NO = (Actor(f"agent:{name}-bot", "agent") for name in ("idle", "odd", "no"))
FOR_ANN = Principal(id="person:ann", kind="person", issuer="bank", scopes=ALICE.scopes, actors=(BOT,))
BY_TOKEN = Principal(id="person:new", kind="person", issuer="bank", scopes=ALICE.scopes, roles=("auditor",))

REGISTERED = [
    ("active", ALICE, get("/accounts/1001"), "allow", ("own_account",)),
    ("suspended", BOB, get("/accounts/1002"), "deny", ("not_active",)),
    ("status null", EVE, get("/accounts/1001"), "deny", ("not_active", "not_your_account")),
    ("no record", BATCH, get("/accounts/1002"), "allow", ("bank_workload",)),
    ("active agent", agent(), get("/accounts/1001"), "allow", ("own_account",)),
    ("retired agent", agent(actors=(IDLE,)), get("/accounts/1001"), "deny", ("not_active",)),
    ("retired agent in the history", agent(actors=(BOT, IDLE)), get("/accounts/1001"), "deny", ("not_active",)),
    ("agent for a suspended person", agent(id="person:bob"), get("/accounts/1002"), "deny", ("not_active",)),
    ("role by record", ANN, get("/accounts/1002"), "allow", ("role",)),
    ("role by token", BY_TOKEN, get("/streams/accounts/1002"), "allow", ("role",)),
    ("a role is no scope", TINA, get("/accounts/1001"), "deny", ("missing_scope", "not_your_account")),
    ("role for something else", MAX, get("/accounts/1001"), "deny", ("not_your_account",)),
    ("role, but no agent holds it", FOR_ANN, get("/accounts/1001"), "deny", ("not_your_account",)),
    ("role without permissions", ALICE, get("/accounts/1002"), "deny", ("not_your_account",)),
    ("role to read does not pay", ANN, pay(1), "deny", ("not_your_account",)),
    ("at the role's limit", MAX, pay(200), "allow", ("teller_payment",)),
    ("over the role's limit", MAX, pay(201), "deny", ("over_limit",)),
    ("role pays, no such account", MAX, pay(1, "9"), "deny", ("no_rule",)),
    ("at the record's limit", ALICE, pay(1_000), "allow", ("own_payment",)),
    ("over the record's limit", ALICE, pay(1_001), "deny", ("over_limit",)),
    ("teller at the record's limit", TINA, pay(8_000), "allow", ("teller_payment",)),
    ("teller within the role's limit, over the record's", TINA, pay(8_001), "deny", ("over_limit",)),
    ("agent at its record's limit", agent(), pay(300), "allow", ("own_payment",)),
    ("agent within the token's limit, over its record's", agent(), pay(301), "deny", ("over_limit",)),
    ("agent with a limit of text in its record", agent(actors=(ODD,)), pay(1), "deny", ("over_limit",)),
    ("agent with the limit false in its record", agent(actors=(NO,)), pay(1), "deny", ("over_limit",)),
]  # fmt: skip


@pytest.fixture(scope="module")
def registered() -> Pdp:
    return embedded_pdp(Bundle(read_bundle().sources, {**DATA, **REGISTER}))


@pytest.mark.parametrize("row", REGISTERED, ids=[row[0] for row in REGISTERED])
def test_records_and_roles_count(
    registered: Pdp, row: tuple[str, Principal, dict[str, Any], str, tuple[str, ...]]
) -> None:
    _, principal, asked, effect, reasons = row
    decision = registered.decide(AccessRequest(principal=principal, time=NOW, **asked))
    assert (decision.effect, decision.reasons) == (effect, reasons)


def test_a_record_counts_from_the_moment_it_is_there(pdp: Pdp) -> None:
    question = AccessRequest(principal=ALICE, time=NOW, **get("/accounts/1001"))
    path = ("principals", "person:alice")
    assert pdp.decide(question).effect == "allow"
    pdp.put_data(path, {"status": "suspended"})
    assert pdp.decide(question).reasons == ("not_active",)
    pdp.remove_data(path)
    assert pdp.decide(question).effect == "allow"


def verdict(**changes: Any) -> Verdict:
    fields = {
        "id": "v-0000000000000001",
        "time": NOW,
        "detector": "access",
        "kind": "actor",
        "subject": "agent:invoice-bot",
        "score": 0.97,
        "threshold": 0.9,
        "evidence": ("412 distinct accounts in 8 s",),
        "technique": "AML.T0053",
        "model": "m1",
        "since": NOW - 8,
    }
    return Verdict(**{**fields, **changes})


WHY = "412 distinct accounts in 8 s"


async def test_an_actor_taken_over_is_stopped_everywhere(pdp: Pdp) -> None:
    response = await pdp.respond(verdict(address="10.0.0.9", session="s-1"), "person:alice", NOW)
    assert set(response.blocks) == {
        BlockOrder("actor", "agent:invoice-bot", 3600, WHY),
        BlockOrder("address", "10.0.0.9", 3600, WHY),
        BlockOrder("session", "s-1", 3600, WHY),
    }
    assert response.risks == (RiskChange("agent:invoice-bot", "high", 3600, WHY),)
    assert "agent:invoice-bot" in response.why


async def test_below_the_threshold_nothing_happens(pdp: Pdp) -> None:
    response = await pdp.respond(verdict(score=0.5), "", NOW)
    assert (response.blocks, response.risks) == ((), ())


async def test_dumped_credentials_raise_risk_and_block_nobody(pdp: Pdp) -> None:
    found = verdict(detector="endpoint", kind="principal", subject="person:tina", technique="T1003.001")
    response = await pdp.respond(found, "person:tina", NOW)
    assert (response.blocks, response.risks) == ((), (RiskChange("person:tina", "high", 3600, WHY),))
    on_host = verdict(detector="endpoint", kind="host", subject="laptop-7", technique="T1003")
    assert (await pdp.respond(on_host, "person:tina", NOW)).risks == response.risks


async def test_another_step_on_a_machine_raises_its_users_risk_and_asking_around_less(pdp: Pdp) -> None:
    levels: dict[str, Literal["medium", "high"]] = {
        "T1059.001": "high",
        "T1021.002": "high",
        "T1087": "medium",
        "T1018": "medium",
    }
    for technique, level in levels.items():
        found = verdict(detector="endpoint", kind="principal", subject="person:tina", technique=technique)
        response = await pdp.respond(found, "person:tina", NOW)
        assert (response.blocks, response.risks) == ((), (RiskChange("person:tina", level, 3600, WHY),))


@pytest.mark.parametrize("confidence", [0.95, 0.7])
@pytest.mark.parametrize("asked", [{"detector": "name", "kind": "address", "subject": "10.0.3.7"},
                                   {"detector": "endpoint", "kind": "host", "subject": "laptop-7"}])  # fmt: skip
async def test_who_surely_uses_a_machine_is_at_risk_and_nothing_is_blocked(
    pdp: Pdp, asked: dict[str, str], confidence: float
) -> None:
    found = verdict(behind="person:tina", confidence=confidence, technique="T1568.002", **asked)
    response = await pdp.respond(found, "", NOW)
    expected = (RiskChange("person:tina", "high", 3600, WHY),) if confidence > 0.8 else ()
    assert (response.blocks, response.risks) == ((), expected)


@pytest.mark.parametrize("kind", ["address", "host"])
@pytest.mark.parametrize("detector", ["name", "endpoint"])
async def test_where_nobody_is_named_nobody_is_at_risk(pdp: Pdp, detector: str, kind: str) -> None:
    response = await pdp.respond(verdict(detector=detector, kind=kind, subject="10.0.3.7"), "", NOW)
    assert (response.blocks, response.risks) == ((), ())


@pytest.mark.parametrize(("kind", "who"), [("principal", "person:tina"), ("actor", "agent:bot")])
@pytest.mark.parametrize("confidence", [1.0, 0.7])
async def test_whose_stages_add_up_is_at_risk_and_not_blocked(pdp: Pdp, kind: str, who: str, confidence: float) -> None:
    found = verdict(
        detector="correlation", kind=kind, subject=who, behind=who, confidence=confidence, address="10.0.3.7"
    )
    response = await pdp.respond(found, who, NOW)
    expected = (RiskChange(who, "high", 3600, WHY),) if confidence > 0.8 else ()
    assert (response.blocks, response.risks) == ((), expected)


async def test_an_address_whose_stages_add_up_is_blocked(pdp: Pdp) -> None:
    found = verdict(detector="correlation", kind="address", subject="198.51.100.7", behind="", confidence=0.0)
    response = await pdp.respond(found, "", NOW)
    assert (response.blocks, response.risks) == ((BlockOrder("address", "198.51.100.7", 3600, WHY),), ())


@pytest.mark.parametrize("detector", ["alert", "flow", "name", "correlation"])
async def test_a_guess_is_never_blocked(pdp: Pdp, detector: str) -> None:
    found = verdict(detector=detector, kind="address", subject="198.51.100.7", behind="person:tina", confidence=1.0)
    response = await pdp.respond(found, "", NOW)
    assert {order.value for order in response.blocks} <= {"198.51.100.7"}


@pytest.mark.parametrize(
    ("technique", "blocked"), [("T1110", True), ("T1571", False), ("T1041", False), ("T1021.002", False)]
)
async def test_of_pairs_only_who_guesses_is_blocked(pdp: Pdp, technique: str, blocked: bool) -> None:
    found = verdict(detector="pair", kind="address", subject="10.2.0.7", technique=technique)
    response = await pdp.respond(found, "", NOW)
    orders = (BlockOrder("address", "10.2.0.7", 3600, WHY),)
    assert (response.blocks, response.risks) == (orders if blocked else (), ())


@pytest.mark.parametrize("detector", ["alert", "flow"])
async def test_a_scanner_is_blocked_by_address(pdp: Pdp, detector: str) -> None:
    response = await pdp.respond(verdict(detector=detector, kind="address", subject="198.51.100.7"), "", NOW)
    assert (response.blocks, response.risks) == ((BlockOrder("address", "198.51.100.7", 3600, WHY),), ())
