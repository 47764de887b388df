"""OPA's data API, asked of a real OPA and of the gateway over the same policy and data: the same answers, or a refusal
that the docs name.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from policy import Bundle, Pdp, embedded_pdp
from tests.gateway.decision_rig import Desk, desk
from tests.policy.real_opa import RealOpa, opa_binary

RULES = """package portcullis.access

default decision := {"effect": "deny", "reasons": ["default"]}

decision := {"effect": "allow", "reasons": ["small"]} if input.amount < 100

doubled := input.amount * 2

echo := input.value

sorted_set contains x if some x in input.many

by_key[k] := v if some k, v in input.pairs

typed := upper(input.value)

contradiction := 1 if input.amount

contradiction := 2 if input.value

owner := data.accounts[input.account].owner

nothing if false

deep.inner.rule := "here"

described := sprintf("%v", [input.value])

function(x) := x
"""
DATA = {
    "accounts": {"1001": {"owner": "person:alice"}, "a/b": {"owner": "x"}, "": 1, "é": 2},
    "list": [10, {"x": [1, 2]}, None],
    "numbers": [1, 1.5, 1e2, 12345678901234567890, 0.1, -0.0],
    "false": False,
    "null": None,
}
A = "/v1/data/portcullis/access"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opa(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealOpa]:
    folder = tmp_path_factory.mktemp("opa")
    (folder / "rules.rego").write_text(RULES)
    (folder / "data.json").write_text(json.dumps(DATA))
    real = RealOpa(opa_binary())
    await real.start(folder / "rules.rego", folder / "data.json")
    yield real
    await real.kill()


@pytest.fixture(scope="module")
def pdp() -> Pdp:
    return embedded_pdp(Bundle({"rules.rego": RULES}, DATA))


@pytest.fixture
async def served(pdp: Pdp, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(pdp, tmp_path, paths=("",)) as made:
        yield made


def shown(status: int, text: str) -> tuple[int, Any]:
    """Status and answer, without what is each server's own. Numbers as they are written."""
    answer = json.loads(text, parse_float=str, parse_int=str) if text.strip() else None
    if isinstance(answer, dict):
        answer.pop("decision_id", None)
        for error in answer.get("errors", ()):
            error.pop("location", None)
        if "errors" not in answer and "message" in answer:
            answer["message"] = answer["message"].partition(":")[0]
        if "metrics" in answer:
            answer["metrics"] = "some"
    return status, answer


async def both(opa: RealOpa, served: Desk, method: str, path: str, **how: Any) -> tuple[Any, Any]:
    """OPA's answer, and ours."""
    async with aiohttp.ClientSession() as session, session.request(method, opa.url + path, **how) as answer:
        theirs = shown(answer.status, await answer.text())
    ours = await served.ask(method, path, **how)
    return theirs, shown(ours.status, await ours.text())


INPUTS = [
    "{}",
    '{"amount": 5}',
    '{"amount": 100}',
    '{"amount": "5"}',
    '{"amount": null}',
    '{"amount": true}',
    '{"amount": 99.99999999999999999999}',
    '{"amount": 100.00000000000000000001}',
    '{"amount": 12345678901234567890123456789}',
    '{"amount": 1e400}',
    '{"amount": -0}',
    '{"amount": 1.50}',
    '{"amount": 5, "amount": 500}',
    '{"value": 2.50}',
    '{"value": 1e2}',
    '{"value": -0.0}',
    '{"value": 0.1234567890123456789012}',
    '{"value": "<a href=\\u0022\\u00e9\\u0022>&"}',
    '{"value": "\\ud800 alone"}',
    '{"value": "\\ud83d\\ude00"}',
    '{"value": {"b": 1, "a": [true, null, {"c": {}}]}}',
    '{"value": [[[[[[[[[[1]]]]]]]]]]}',
    '{"value": false}',
    '{"many": [3, 1, 2, 1, "a", null, true, [1], {"x": 1}, 1.0]}',
    '{"many": {"a": 1, "b": 1}}',
    '{"many": "text"}',
    '{"pairs": [["a", 1]]}',
    '{"pairs": {"a": 1, "b": [2]}}',
    '{"account": "1001"}',
    '{"account": ["1001"]}',
    "[]",
    "7",
    '"text"',
    "null",
    "true",
    "[[[[]]]]",
]
RULES_ASKED = [
    "decision",
    "doubled",
    "echo",
    "sorted_set",
    "by_key",
    "typed",
    "owner",
    "described",
]


@pytest.mark.parametrize("rule", RULES_ASKED)
async def test_any_input_gets_opas_answer(opa: RealOpa, served: Desk, rule: str) -> None:
    for text in INPUTS:
        body = f'{{"input": {text}}}'.encode()
        theirs, ours = await both(opa, served, "POST", f"{A}/{rule}", data=body)
        assert ours == theirs, text


async def test_a_package_is_answered_whole(opa: RealOpa, served: Desk) -> None:
    for text in ("{}", '{"amount": 5}', '{"value": "x", "many": [1, 2], "pairs": {"k": "v"}}', "null"):
        for path in (A, "/v1/data/portcullis", "/v1/data"):
            theirs, ours = await both(opa, served, "POST", path, data=f'{{"input": {text}}}'.encode())
            assert ours == theirs, (path, text)


@pytest.mark.parametrize(
    "path",
    [
        "/accounts",
        "/accounts/a%2Fb/owner",
        "/accounts/a%2Fb",
        "/accounts/a/b",
        "/accounts/%C3%A9",
        "/list/1/x/0",
        "/list/01",
        "/list/-1",
        "/list/3",
        "/list/x",
        "/numbers",
        "/false",
        "/null",
        "/none/at/all",
        "/portcullis/access/deep",
        "/portcullis/access/deep/inner/rule",
        "/portcullis/access/nothing",
        "/portcullis/access/decision/effect",
        "/portcullis/access/decision/reasons/0",
        "/portcullis/none",
        "/accounts/%zz",
        "/Accounts",
    ],
)
async def test_any_path_gets_opas_answer(opa: RealOpa, served: Desk, path: str) -> None:
    for method in ("GET", "POST"):
        theirs, ours = await both(opa, served, method, "/v1/data" + path)
        assert ours == theirs


@pytest.mark.xfail(reason="a number is no key of an object here; OPA takes it for a text where it reads documents")
@pytest.mark.parametrize("path", ["/accounts/1001/owner", "/accounts/1001", "/accounts//1001"])
async def test_a_number_finds_a_key_of_a_document(opa: RealOpa, served: Desk, path: str) -> None:
    theirs, ours = await both(opa, served, "GET", "/v1/data" + path)
    assert ours == theirs


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"{}",
        b"null",
        b'{"input": null}',
        b'{"other": 1}',
        b'{"input": {"amount": 5}, "more": {"x": 1}}',
        b"[]",
        b'"text"',
        b"7",
        b"{",
        b'{"input": NaN}',
        b'{"input": Infinity}',
        b'{"input": 01}',
        b'{"input": "\n"}',
        b'{"input": +1}',
        b"\xef\xbb\xbf{}",
        b'{"input": {"amount": "\xff"}}',
        b"[" * 100_000,
    ],
)
async def test_any_body_gets_opas_answer(opa: RealOpa, served: Desk, body: bytes) -> None:
    for rule in ("decision", "echo"):
        theirs, ours = await both(opa, served, "POST", f"{A}/{rule}", data=body)
        assert ours == theirs


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("POST", "pretty"),
        ("POST", "pretty=true"),
        ("POST", "metrics=true"),
        ("POST", "metrics"),
        ("POST", "metrics=yes"),
        ("POST", "explain=off"),
        ("POST", "unheard=of"),
        ("GET", "input=%7B%22amount%22%3A5%7D"),
        ("GET", "input=%7B"),
        ("GET", "input="),
        ("GET", "input=1&input=%7B%22amount%22%3A5%7D"),
        ("GET", "pretty=TRUE&metrics=True"),
    ],
)
async def test_parameters_get_opas_answer(opa: RealOpa, served: Desk, method: str, query: str) -> None:
    body = {"data": b'{"input": {"amount": 5}}'} if method == "POST" else {}
    theirs, ours = await both(opa, served, method, f"{A}/decision?{query}", **body)
    assert ours == theirs


async def test_pretty_is_opas_to_the_letter(opa: RealOpa, served: Desk) -> None:
    body = b'{"input": {"value": {"b": [1, {"c": "<"}], "a": {}, "e": []}}}'
    async with aiohttp.ClientSession() as session, session.post(f"{opa.url}{A}/echo?pretty", data=body) as answer:
        theirs = await answer.text()
    ours = await (await served.ask("POST", f"{A}/echo?pretty", data=body)).text()
    assert [line for line in ours.splitlines() if "decision_id" not in line] == theirs.splitlines()


async def test_a_contradiction_is_opas_error(opa: RealOpa, served: Desk) -> None:
    theirs, ours = await both(opa, served, "POST", f"{A}/contradiction", data=b'{"input": {"amount": 1, "value": 1}}')
    for status, answer in (theirs, ours):
        assert (status, answer["code"], answer["errors"][0]["code"]) == (500, "internal_error", "eval_conflict_error")
        assert answer["message"] == "error(s) occurred while evaluating query"


@pytest.mark.parametrize(
    ("path", "opas", "ours"),
    [
        ("/portcullis/access/function", 500, 200),  # to us a function has no value
        ("/accounts/%22", 500, 400),  # whoever asks that is at fault
    ],
)
async def test_where_opas_answer_is_an_accident(opa: RealOpa, served: Desk, path: str, opas: int, ours: int) -> None:
    theirs, answer = await both(opa, served, "GET", "/v1/data" + path)
    assert (theirs[0], answer[0]) == (opas, ours)
    assert "result" not in answer[1]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_nothing_can_be_written(served: Desk, method: str) -> None:
    for path in ("/v1/data/accounts", "/v1/data"):
        assert (await served.ask(method, path, data=b"{}")).status == 405
    assert (await served.ask("PUT", "/v1/policies/a", data=b"package a")).status == 404


async def test_health_is_opas_answer(opa: RealOpa, served: Desk) -> None:
    theirs, ours = await both(opa, served, "GET", "/health?bundles&plugins")
    assert ours == theirs == (200, {})


@pytest.mark.parametrize(
    "query", ["explain=full", "explain=notes", "instrument", "rule_labels=true", "strict-builtin-errors"]
)
async def test_what_is_not_here_is_refused_in_opas_words(served: Desk, query: str) -> None:
    status, answer = shown_of(await served.ask("POST", f"{A}/decision?{query}", data=b"{}"))
    assert (status, answer["code"]) == (400, "invalid_parameter")


async def test_what_opa_reads_and_we_do_not_is_refused(served: Desk) -> None:
    for headers, data in (
        ({"content-type": "application/yaml"}, b"input: {}"),
        ({"content-encoding": "gzip"}, b"{}"),
        ({}, b'{"input": {}} trailing'),
        ({}, b'{"Input": {"amount": 5}}'),
        ({}, b'{"input": ' + b"[" * 65 + b"]" * 65 + b"}"),
    ):
        status, answer = shown_of(await served.ask("POST", f"{A}/echo", data=data, headers=headers))
        assert (status, answer["code"]) == (400, "invalid_parameter")


def shown_of(answer: aiohttp.ClientResponse) -> tuple[int, Any]:
    body: Any = answer._body
    return shown(answer.status, body.decode())


async def test_strict_errors_hold_for_a_revision(pdp: Pdp, tmp_path: Path) -> None:
    async with desk(pdp, tmp_path, strict=True) as served:
        assert (await served.ask("POST", f"{A}/decision?strict-builtin-errors", data=b"{}")).status == 200


async def test_provenance_names_the_revision(served: Desk) -> None:
    answer = await (await served.ask("GET", f"{A}/decision?provenance=true")).json()
    assert answer["provenance"] == {"bundles": {"portcullis": {"revision": served.pdp.revision}}}


async def test_every_answer_has_an_id_of_its_own(served: Desk) -> None:
    ids = {(await (await served.ask("GET", f"{A}/decision")).json())["decision_id"] for _ in range(10)}
    assert len(ids) == 10


async def test_only_what_is_configured_may_be_asked(pdp: Pdp, tmp_path: Path) -> None:
    async with desk(pdp, tmp_path, paths=("portcullis/access/decision", "/list/")) as served:
        for path, status in (
            ("/portcullis/access/decision", 200),
            ("/portcullis/access/decision/effect", 200),
            ("/portcullis/access", 401),
            ("/portcullis/access/decisions", 401),
            ("/portcullis/access%2Fdecision", 401),
            ("", 401),
            ("/accounts", 401),
            ("/list/0", 200),
            ("/li%73t/0", 200),
        ):
            answer = await served.ask("GET", "/v1/data" + path)
            assert answer.status == status, path
            if status == 401:
                told = {"code": "unauthorized", "message": "request rejected by administrative policy"}
                assert await answer.json() == told


async def test_a_result_that_is_too_large_is_refused(pdp: Pdp, tmp_path: Path) -> None:
    async with desk(pdp, tmp_path, paths=("",)) as served:
        pdp.put_data(("many",), {str(number): [number] for number in range(10_001)})
        try:
            answer = await served.ask("GET", "/v1/data/many")
            assert (answer.status, (await answer.json())["code"]) == (400, "invalid_parameter")
            assert (await served.ask("GET", "/v1/data/many/7/0")).status == 200
        finally:
            pdp.remove_data(("many",))
