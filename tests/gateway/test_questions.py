"""The edge's questions, through their socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config import Transactions
from gateway.edge import bucket
from gateway.enforcement import Reusing, serve_questions
from policy import Bundle, embedded_pdp
from tests.gateway.parts import Bank
from tests.gateway.questioner import Questioner, answered, asking, read_frame
from verifier import read_keys, verify

REUSED = Reusing(5.0, 15.0)


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
async def socket(bank: Bank, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "judge.sock"
    serving = asyncio.create_task(serve_questions(bank.judge, REUSED, 7, path))
    async with asyncio.timeout(5):
        while not path.exists():  # noqa: ASYNC110  # bound by the loop's next turns, before anything is awaited
            await asyncio.sleep(0)
    yield path
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
async def edge(socket: Path) -> AsyncIterator[Questioner]:
    made = await Questioner.connected(socket)
    yield made
    made.writer.close()


def proof(bank: Bank, **extra: str) -> dict[str, str]:
    return {"authorization": f"Bearer {bank.token()}", "x-forwarded-for": "10.0.0.5", **extra}


async def test_an_allowed_request(bank: Bank, edge: Questioner) -> None:
    answer = await edge.ask("GET", "/accounts/1001", proof(bank))
    assert answer.allowed
    assert answer.status == 200
    assert answer.headers["x-portcullis-subject"] == "person:alice"
    assert answer.headers["x-portcullis-effect"] == "allow"
    assert answer.headers["x-portcullis-decision"] == bank.seen[0][1].id


async def test_the_upstream_learns_who_asks_from_a_transaction_token(bank: Bank, edge: Questioner) -> None:
    token = (await edge.ask("GET", "/accounts/1001", proof(bank))).headers["txn-token"]
    found = verify(token, read_keys(bank.ring.jwks()), issuer=Transactions().issuer, audience="bank")
    assert (found.subject, found.id) == ("person:alice", "txn")


async def test_a_refused_request_says_why_to_the_caller(bank: Bank, edge: Questioner) -> None:
    answer = await edge.ask("GET", "/accounts/7", proof(bank))
    assert (answer.allowed, answer.status, answer.ttl_ms) == (False, 403, 0)
    told = json.loads(answer.body)
    assert told["reasons"] == ["not_yours"]
    assert told["decision"] == answer.headers["x-portcullis-decision"]


async def test_no_credentials(edge: Questioner) -> None:
    answer = await edge.ask("GET", "/accounts/7", {})
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="portcullis"'


async def test_two_authorization_headers_are_refused(bank: Bank, edge: Questioner) -> None:
    token = f"Bearer {bank.token()}"
    assert (await edge.ask("GET", "/accounts/1001", {"authorization": f"{token},{token}"})).status == 400


async def test_the_body_reaches_policy(bank: Bank, edge: Questioner) -> None:
    assert (await edge.ask("POST", "/pay", proof(bank), b'{"amount": 5}')).allowed
    assert (await edge.ask("POST", "/pay", proof(bank), b'{"amount": 500}')).status == 403


async def test_a_request_to_a_grpc_service_is_a_call(bank: Bank, edge: Questioner) -> None:
    assert (await edge.ask("POST", "/bank.Ledger/Balance", proof(bank))).allowed
    assert bank.seen[0][0].action == "CALL"


async def test_an_answer_holds_until_a_signal_touches_whom_it_speaks_of(bank: Bank, edge: Questioner) -> None:
    answer = await edge.ask("GET", "/accounts/1001", proof(bank))
    assert answer.ttl_ms == 5000
    assert {bucket("principal", "person:alice"), bucket("address", "10.0.0.5")} <= set(answer.buckets)


ECHOING = """package portcullis.access

import rego.v1

decision := {"effect": "allow"} if input.path == "/accounts/1001"

decision := {"effect": "step_up", "obligations": {"acr_values": said, said: 1}} if {
    input.path != "/accounts/1001"
    said := object.get(input, ["body", "said"], input.path)
}
"""


@pytest.mark.parametrize(
    ("target", "body"), [("/accounts/%e2%82%ac", None), ("/pay", b'{"said": "a\\", error=\\"b\\r\\nset-cookie: c"}')]
)
async def test_what_a_policy_echoes_spoils_no_challenge_and_costs_nobody_an_answer(
    bank: Bank, edge: Questioner, target: str, body: bytes | None
) -> None:
    bank.judge._pdp = embedded_pdp(Bundle({"bank.rego": ECHOING}, {}))
    assert (await edge.ask("GET", "/accounts/1001", proof(bank))).allowed  # the issuer's keys are there from here on
    harmless = asking("GET", "/accounts/1001", proof(bank), number=1)
    echoed = asking("POST", target, proof(bank), body, number=2)
    edge.writer.write(harmless + echoed)
    async with asyncio.timeout(5):
        first, second = [answered(await read_frame(edge.reader)) for _ in range(2)]
    assert (first.number, first.status, second.number, second.status) == (1, 200, 2, 401)
    challenge = second.headers["www-authenticate"]
    weak = 'Bearer realm="portcullis", error="insufficient_user_authentication"'
    assert re.fullmatch(re.escape(weak) + ', acr_values="[ !#-~]+"', challenge)


async def test_what_policy_read_of_the_body_holds_for_that_request_alone(bank: Bank, edge: Questioner) -> None:
    assert (await edge.ask("POST", "/pay", proof(bank), b'{"amount": 5}')).ttl_ms == 0


async def test_a_caller_that_gives_up_leaves_nothing_waiting(bank: Bank, edge: Questioner) -> None:
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    bank.judge._ask = slow
    edge.writer.write(asking("GET", "/", proof(bank)))
    async with asyncio.timeout(5):
        await asked.wait()
        edge.writer.close()
        await given_up.wait()


async def test_many_questions_at_once_are_all_answered_each_by_its_number(bank: Bank, edge: Questioner) -> None:
    frames = [
        asking("GET", f"/accounts/{'1001' if number % 2 else '7'}", proof(bank), number=number)
        for number in range(1000)
    ]
    edge.writer.write(b"".join(frames))
    async with asyncio.timeout(10):
        answers = [answered(await read_frame(edge.reader)) for _ in frames]
    assert {answer.number: answer.allowed for answer in answers} == {number: number % 2 == 1 for number in range(1000)}


@pytest.mark.parametrize("method", ["CONNECT", "FOO", "get", ""])
async def test_a_method_that_there_is_not_is_refused(bank: Bank, edge: Questioner, method: str) -> None:
    assert (await edge.ask(method, "/accounts/1001", proof(bank))).status == 400


@pytest.mark.parametrize("junk", [b"\xff" * 100, b"\x00" * 100, b"GET / HTTP/1.1\r\nhost: bank\r\n\r\n" + b" " * 100])
async def test_what_is_no_question_closes_the_connection(socket: Path, junk: bytes) -> None:
    edge = await Questioner.connected(socket)
    edge.writer.write(junk)
    async with asyncio.timeout(5):
        assert await edge.reader.read() == b""
    edge.writer.close()
