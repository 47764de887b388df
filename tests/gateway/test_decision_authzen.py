"""AuthZEN 1.0 on a real listener: the cases of its certification scenario (openid/authzen,
certification/authorization-api-1_0-scenario.md; numbers are its sections), and what hostile questions get.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from policy import BlockPolicy, Bundle, Cause, Pdp, Target, embedded_pdp, read_bundle
from tests.gateway.decision_rig import Desk, desk

ONE, MANY = "/access/v1/evaluation", "/access/v1/evaluations"
# Rules 1 to 8 of section 1.4, in Rego over the document that policy always sees.
FIXTURE = """package portcullis.access

decision := {"effect": "allow", "reasons": grants} if count(grants) > 0

decision := {"effect": "deny", "reasons": ["no_grant"]} if count(grants) == 0

archived if input.body.status == "archived"

grants contains "reader" if {
    input.action == "read"
    input.principal.id in {"person:alice", "person:bob"}
}

grants contains "writer" if {
    input.action == "write"
    input.principal.id == "person:alice"
    not archived
}

grants contains "admin" if {
    input.action == "write"
    input.principal.attributes.role == "admin"
    archived
}

grants contains "soft_delete" if {
    input.action == "delete"
    input.principal.id == "person:alice"
    input.path == "/record/record-1"
    input.body.soft == true
}
"""
ALICE, BOB = {"type": "user", "id": "alice"}, {"type": "user", "id": "bob"}
READ, WRITE = {"name": "read"}, {"name": "write"}
FIRST, SECOND = {"type": "record", "id": "record-1"}, {"type": "record", "id": "record-2"}
ADMIN = {**BOB, "properties": {"role": "admin"}}
ARCHIVED = {**SECOND, "properties": {"status": "archived"}}
ACTIVE = {**FIRST, "properties": {"status": "active"}}
PERMITTED = {"subject": ALICE, "action": READ, "resource": FIRST}


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in document.items() if each != name}


@pytest.fixture(scope="module")
def pdp() -> Pdp:
    return embedded_pdp(Bundle({"fixture.rego": FIXTURE}, {}))


@pytest.fixture
async def served(pdp: Pdp, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(pdp, tmp_path, max_evaluations=10, url="https://pdp.bank.example") as made:
        yield made


@pytest.mark.parametrize(
    ("subject", "action", "resource", "wanted"),
    [
        (ALICE, READ, FIRST, True),  # 2.2.1
        (BOB, WRITE, FIRST, False),  # 2.2.2
        (ALICE, WRITE, FIRST, True),
        (BOB, READ, FIRST, True),
        (ALICE, WRITE, ARCHIVED, False),  # 2.2.4
        (ADMIN, WRITE, ARCHIVED, True),  # 2.2.5
        (ALICE, {"name": "delete", "properties": {"soft": True}}, FIRST, True),  # 2.2.6
        (ALICE, {"name": "delete", "properties": {"soft": False}}, FIRST, False),  # 2.2.7
        (
            {**ALICE, "properties": {"department": "Sales", "role": "manager"}},
            {**READ, "properties": {"method": "GET"}},
            {**FIRST, "properties": {"status": "active", "owner": "bob"}},
            True,
        ),  # 2.2.8
    ],
)
async def test_basic_decisions(served: Desk, subject: Any, action: Any, resource: Any, wanted: bool) -> None:
    asked = {"subject": subject, "action": action, "resource": resource}
    context = {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}  # 2.2.3
    for question in (asked, {**asked, "context": context}, {**asked, "foo": "bar", "futureField": {"nested": True}}):
        answer = await served.evaluate(question)
        assert answer["decision"] is wanted
        assert answer["context"]["effect"] == ("allow" if wanted else "deny")
        assert (await served.evaluate(question, MANY))["decision"] is wanted  # 3.4.2
    assert (await served.evaluate({**asked, "evaluations": []}, MANY))["decision"] is wanted  # 3.4.3


@pytest.mark.parametrize(
    "wrong",
    [
        *(without(PERMITTED, name) for name in PERMITTED),  # 2.4.1
        {**PERMITTED, "subject": {"id": "alice"}},  # 2.4.2
        {**PERMITTED, "subject": {"type": "user"}},
        {**PERMITTED, "action": {}},
        {**PERMITTED, "resource": {"id": "record-1"}},
        {**PERMITTED, "resource": {"type": "record"}},
        {**PERMITTED, "subject": "alice"},  # 2.4.6
        {**PERMITTED, "action": {"name": 123}},
        {**PERMITTED, "context": []},
        {**PERMITTED, "context": None},
        {**PERMITTED, "context": {"time": "noon"}},
        {**PERMITTED, "context": {"time": "2025-06-27T18:03"}},
        {**PERMITTED, "context": {"time": -1}},
        {**PERMITTED, "context": {"time": True}},
        {**PERMITTED, "context": {"address": "here"}},
        {**PERMITTED, "subject": {**ALICE, "properties": None}},
        {**PERMITTED, "subject": {"type": "spaceship", "id": "alice"}},
        {**PERMITTED, "subject": {"type": "user", "id": "agent:bot"}},
        {**PERMITTED, "subject": {"type": "user", "id": "al ice"}},
        {**PERMITTED, "subject": {"type": "user", "id": ""}},
        {**PERMITTED, "subject": {**ALICE, "properties": {"roles": "admin"}}},
        {**PERMITTED, "subject": {**ALICE, "properties": {"roles": [1]}}},
        {**PERMITTED, "subject": {**ALICE, "properties": {"actors": [BOB] * 17}}},
        {**PERMITTED, "subject": {**ALICE, "properties": {"actors": ["bob"]}}},
        {**PERMITTED, "subject": {**ALICE, "properties": {"authenticated": "now"}}},
        {**PERMITTED, "resource": {"type": "record", "id": "/a/../b"}},
        {**PERMITTED, "resource": {"type": "record", "id": ".."}},
        {**PERMITTED, "resource": {"type": "record", "id": "a\nb"}},
        {**PERMITTED, "resource": ACTIVE, "action": {**READ, "properties": {"status": "archived"}}},
        [PERMITTED],
        "text",
        None,
    ],
)
async def test_what_is_no_evaluation_is_a_bad_request(served: Desk, wrong: Any) -> None:
    for path in (ONE, MANY):
        answer = await served.ask("POST", path, json=wrong)
        assert (answer.status, answer.content_type) == (400, "text/plain")
        assert await answer.text()
    assert served.seen == []


@pytest.mark.parametrize(
    "body",
    [
        b"",  # 2.4.5
        b"{",  # 2.4.4
        b'{"subject": {"type": "user", "id": "alice"}, "subject": {}}',
        b'{"subject": "\xff"}',
        b'{"subject": "\\ud800"}',
        b'{"subject": NaN}',
        b'{"subject": ' + b"9" * 5000 + b"}",
        b'{"context": ' + b"[" * 70 + b"]" * 70 + b"}",
        b"[" * 200_000,
        b"\xef\xbb\xbf{}",
        b"{}{}",
    ],
)
async def test_a_body_that_is_no_json_is_a_bad_request(served: Desk, body: bytes) -> None:
    answer = await served.ask("POST", ONE, data=body, headers={"content-type": "application/json"})
    assert answer.status == 400


async def test_a_body_of_another_kind_or_packed_is_a_bad_request(served: Desk) -> None:
    data = json.dumps(PERMITTED).encode()
    for headers in (
        {"content-type": "text/plain"},  # 2.4.3
        {"content-type": "application/json", "content-encoding": "gzip"},
    ):
        assert (await served.ask("POST", ONE, data=data, headers=headers)).status == 400
    charset = {"content-type": "Application/JSON; charset=utf-8"}
    assert (await served.ask("POST", ONE, data=data, headers=charset)).status == 200


async def test_the_request_says_which_it_was(served: Desk) -> None:
    """2.5.1, and in errors too."""
    for path, asked, status in ((ONE, PERMITTED, 200), (MANY, PERMITTED, 200), (ONE, {}, 400), ("/nowhere", {}, 404)):
        answer = await served.ask("POST", path, json=asked, headers={"X-Request-ID": "bfe9eb29 ab87"})
        assert (answer.status, answer.headers["x-request-id"]) == (status, "bfe9eb29 ab87")
    assert "x-request-id" not in (await served.ask("POST", ONE, json=PERMITTED)).headers


async def decisions(served: Desk, asked: Any) -> list[bool]:
    answer = await served.evaluate(asked, MANY)
    assert answer.keys() == {"evaluations"}  # 3.3.4
    return [one["decision"] for one in answer["evaluations"]]


async def test_defaults_are_inherited_whole(served: Desk) -> None:
    """3.2.2 to 3.2.7."""
    many: list[tuple[Any, list[bool]]] = [
        ({"subject": BOB, "resource": FIRST, "evaluations": [{"action": READ}, {"action": WRITE}]}, [True, False]),
        (
            {"subject": ALICE, "action": WRITE, "evaluations": [{"resource": ACTIVE}, {"resource": ARCHIVED}]},
            [True, False],
        ),
        (
            {"action": WRITE, "resource": ARCHIVED, "evaluations": [{"subject": ALICE}, {"subject": ADMIN}]},
            [False, True],
        ),
        ({"evaluations": [PERMITTED, {"subject": BOB, "action": WRITE, "resource": FIRST}]}, [True, False]),
        (
            {"subject": ALICE, "action": WRITE, "resource": ACTIVE, "evaluations": [{}, {"resource": ARCHIVED}]},
            [True, False],
        ),
        (
            {"subject": ADMIN, "action": WRITE, "resource": ARCHIVED, "evaluations": [{}, {"subject": BOB}]},
            [True, False],
        ),
    ]
    for asked, wanted in many:
        assert await decisions(served, asked) == wanted


async def test_context_is_inherited_and_replaced(served: Desk) -> None:
    """3.2.6."""
    first, second = {"time": "2025-06-27T18:03-07:00"}, {"time": "2025-06-27T19:00-07:00", "source": "override"}
    asked = {"subject": ALICE, "action": READ, "context": first}
    await decisions(served, {**asked, "evaluations": [{"resource": FIRST}, {"resource": SECOND, "context": second}]})
    assert [request.context for request, _ in served.seen] == [first, second]
    assert [request.time for request, _ in served.seen] == [1751072580.0, 1751076000.0]


@pytest.mark.parametrize(
    ("semantic", "wanted"),
    [
        (None, [True, False, False, True]),
        ("execute_all", [True, False, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
async def test_semantics(served: Desk, semantic: str | None, wanted: list[bool]) -> None:
    options = {} if semantic is None else {"evaluations_semantic": semantic}
    listed = [{"action": READ}, {"action": WRITE}, {"action": {}}, {"action": READ}]
    asked = {"subject": BOB, "resource": FIRST, "evaluations": listed, "options": {**options, "other": 1}}
    assert await decisions(served, asked) == wanted
    turned = {**asked, "evaluations": [{"action": WRITE}, {"action": {}}, *listed]}
    longer = {"permit_on_first_permit": [False, False, True], "deny_on_first_deny": [False]}
    assert await decisions(served, turned) == longer.get(semantic or "", [False, False, *wanted])


async def test_what_is_wrong_with_one_is_said_in_its_place(served: Desk) -> None:
    """3.4.1."""
    asked = {"subject": ALICE, "action": READ, "evaluations": [{"resource": FIRST}, {}, 7, {"resource": FIRST}]}
    first, second, third, fourth = (await served.evaluate(asked, MANY))["evaluations"]
    assert (first["decision"], fourth["decision"]) == (True, True)
    assert second == {"decision": False, "context": {"error": {"status": 400, "message": "resource is missing"}}}
    assert (third["decision"], third["context"]["error"]["status"]) == (False, 400)


@pytest.mark.parametrize(
    "wrong",
    [
        {"evaluations": {}},
        {"evaluations": [{}] * 11},
        {"evaluations": [{}], "options": {"evaluations_semantic": "all"}},
        {"evaluations": [{}], "options": {"evaluations_semantic": ["execute_all"]}},
        {"evaluations": [{}], "options": []},
        {"evaluations": [{}], "subject": "alice"},
        {"evaluations": [{}], "context": 1},
    ],
)
async def test_what_is_wrong_with_the_whole_is_a_bad_request(served: Desk, wrong: Any) -> None:
    assert (await served.ask("POST", MANY, json={**PERMITTED, **wrong})).status == 400
    assert served.seen == []


async def test_metadata_says_what_is_here(served: Desk) -> None:
    answer = await served.ask("GET", "/.well-known/authzen-configuration")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert await answer.json() == {
        "policy_decision_point": "https://pdp.bank.example",
        "access_evaluation_endpoint": "https://pdp.bank.example/access/v1/evaluation",
        "access_evaluations_endpoint": "https://pdp.bank.example/access/v1/evaluations",
    }


async def test_without_an_identifier_there_is_no_metadata(pdp: Pdp, tmp_path: Path) -> None:
    async with desk(pdp, tmp_path) as served:
        assert (await served.ask("GET", "/.well-known/authzen-configuration")).status == 404


async def test_search_is_not_here(served: Desk) -> None:
    assert (await served.ask("POST", "/access/v1/search/subject", json={})).status == 404
    assert (await served.ask("GET", ONE)).status == 405


STARTER = Bundle(
    read_bundle().sources, {"accounts": {"1001": {"owner": "person:alice"}}, "risk": {"person:rita": "high"}}
)


@pytest.fixture(scope="module")
def starter() -> Pdp:
    return embedded_pdp(STARTER)


@pytest.fixture
async def bank(starter: Pdp, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(starter, tmp_path) as made:
        yield made


def payment(subject: dict[str, Any], **changes: Any) -> dict[str, Any]:
    properties = {"from": "1001", "to": "2001", "amount": 10, **changes}
    return {
        "subject": subject,
        "action": {"name": "POST"},
        "resource": {"type": "accounts", "id": "/payments", "properties": properties},
        "context": {"address": "10.0.0.5", "host": "bank.example", "device": "d-1"},
    }


PAYER: dict[str, Any] = {
    "type": "person",
    "id": "alice",
    "properties": {"scopes": ["payments:write"], "limit": 5, "assurance": "a"},
}


async def test_the_same_policy_judges_and_sees_the_same_document(bank: Desk) -> None:
    answer = await bank.evaluate(payment(PAYER))
    assert answer["decision"] is True
    request, decision = bank.seen[0]
    assert answer["context"] == {
        "id": decision.id,
        "effect": "allow",
        "reasons": ["own_payment"],
        "revision": STARTER.revision,
    }
    assert (request.action, request.service, request.path) == ("POST", "accounts", "/payments")
    assert (request.address, request.host, request.context["device"]) == ("10.0.0.5", "bank.example", "d-1")
    assert request.body == {"from": "1001", "to": "2001", "amount": 10}
    who = request.principal
    assert (who.id, who.kind, who.scopes, who.assurance) == ("person:alice", "person", ("payments:write",), "a")
    assert who.attributes == {"limit": 5}


async def test_an_agent_acts_within_its_limit(bank: Desk) -> None:
    acted = {**PAYER["properties"], "actors": [{"type": "agent", "id": "invoice-bot"}]}
    answer = await bank.evaluate(payment({**PAYER, "properties": acted}))
    assert answer["context"]["reasons"] == ["over_limit"]
    assert [actor.id for actor in bank.seen[0][0].principal.actors] == ["agent:invoice-bot"]
    assert (await bank.evaluate(payment({**PAYER, "properties": acted}, amount=5)))["decision"] is True


async def test_an_amount_is_not_rounded(bank: Desk) -> None:
    acted = {**PAYER["properties"], "actors": [{"type": "agent", "id": "invoice-bot"}]}
    body = json.dumps(payment({**PAYER, "properties": acted}, amount="AMOUNT"))
    for amount, wanted in (("5.00000000000000000001", False), ("4.99999999999999999999", True), ("1e400", False)):
        data = body.replace('"AMOUNT"', amount).encode()
        answer = await bank.ask("POST", ONE, data=data, headers={"content-type": "application/json"})
        assert (await answer.json())["decision"] is wanted


async def test_a_step_up_is_no_permit_and_says_what_it_takes(bank: Desk) -> None:
    bank.pdp.put_data(("risk", "person:alice"), "high")
    answer = await bank.evaluate(payment(PAYER))
    bank.pdp.remove_data(("risk", "person:alice"))
    assert answer["decision"] is False
    assert answer["context"]["effect"] == "step_up"
    assert answer["context"]["obligations"] == {"acr_values": "urn:bank:strong", "max_age": 300}


async def test_what_is_no_path_is_one_segment(bank: Desk) -> None:
    for identifier, path in (
        ("1001", "/accounts/1001"),
        ("1001/x", "/accounts/1001%2Fx"),
        ("50%", "/accounts/50%25"),
        ("a b", "/accounts/a b"),
        ("/accounts/1001?x=1", "/accounts/1001"),
    ):
        await bank.evaluate({**payment(PAYER), "resource": {"type": "accounts", "id": identifier}})
        assert bank.seen.pop()[0].path == path


async def test_who_is_blocked_is_refused_here_too(bank: Desk) -> None:
    target, cause = Target.of("principal", "person:alice"), Cause(reason="r", by="test")
    bank.blocklist.enforce([BlockPolicy(id="b-1", target=target, created=0.0, expires=4e9, lines=(), cause=cause)])
    answer = await bank.evaluate(payment(PAYER))
    assert (answer["decision"], answer["context"]["reasons"]) == (False, ["blocked"])
    assert bank.seen == []


CONTRADICTION = (
    'package portcullis.access\n\ndecision := {"effect": "allow"} if input.action\n\ndecision := 1 if input.path'
)


async def test_a_policy_that_fails_is_an_error_of_ours_and_no_decision(tmp_path: Path) -> None:
    async with desk(embedded_pdp(Bundle({"a.rego": CONTRADICTION}, {})), tmp_path) as served:
        answer = await served.ask("POST", ONE, json=PERMITTED)
        assert (answer.status, answer.content_type) == (500, "text/plain")
        assert "policy_error" in await answer.text()
        (one,) = (await served.evaluate({**PERMITTED, "evaluations": [{}]}, MANY))["evaluations"]
        assert (one["decision"], one["context"]["error"]["status"]) == (False, 500)
