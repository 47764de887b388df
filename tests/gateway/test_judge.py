"""The judge: every attempt has an answer, and only a decision to allow lets one pass."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.enforcement import Answer, Attempt
from gateway.identity import Credentials
from policy import BlockPolicy, Cause, Target, TargetKind
from tests.gateway.parts import ISSUER, Bank


@pytest.fixture(scope="module")
def shared() -> Bank:
    return Bank()


@pytest.fixture
def bank() -> Bank:
    return Bank()


def attempt(token: str, target: str = "/accounts/1001", body: bytes = b"", method: str = "GET") -> Attempt:
    credentials = Credentials(f"Bearer {token}" if token else "")
    return Attempt(method, target, "bank.example", "10.0.0.5", credentials, body)


def block(kind: TargetKind, value: str) -> BlockPolicy:
    cause = Cause(reason="r", by="test")
    return BlockPolicy(id="b-1", target=Target.of(kind, value), created=0.0, expires=4e9, cause=cause)


async def test_her_own_account_is_allowed(bank: Bank) -> None:
    answer = await bank.judge.ask(attempt(bank.token()))
    assert answer.allowed
    assert answer.id.startswith("d-")
    assert dict(answer.identity()) == {
        "x-portcullis-decision": answer.id,
        "x-portcullis-subject": "person:alice",
        "x-portcullis-actor": "person:alice",
    }
    ((request, decision),) = bank.seen
    assert (request.service, request.path, request.address) == ("bank", "/accounts/1001", "10.0.0.5")
    assert decision.id == answer.id


async def test_another_account_is_refused_with_reason_and_id(bank: Bank) -> None:
    answer = await bank.judge.ask(attempt(bank.token(), "/accounts/1002"))
    assert (answer.status, answer.reasons) == (403, ("not_yours",))
    assert answer.id.encode() in answer.body()


async def test_a_step_up_is_challenged(bank: Bank) -> None:
    answer = await bank.judge.ask(attempt(bank.token(), "/step"))
    assert answer.status == 401
    assert answer.challenge == (
        'Bearer realm="portcullis", error="insufficient_user_authentication", acr_values="strong", max_age="300"'
    )


async def test_a_known_key_is_answered_at_once(bank: Bank) -> None:
    token = bank.token()
    assert bank.judge.at_once(attempt(token)) is None
    await bank.judge.ask(attempt(token))
    at_once = bank.judge.at_once(attempt(token))
    assert at_once is not None
    assert at_once.allowed
    assert bank.fetched == [ISSUER]


async def test_a_key_that_the_issuer_does_not_have_is_a_refusal(bank: Bank) -> None:
    import jwt

    forged = jwt.encode({"iss": ISSUER}, bank.key, "ES256", {"typ": "at+jwt", "kid": "other"})
    answer = await bank.judge.ask(attempt(forged))
    assert (answer.status, answer.reasons) == (401, ("invalid_token",))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"amount": 99}', 200),
        (b'{"amount": 100}', 403),
        (b"{", 400),
        (b"[" * 2000, 400),
        (b'{"amount": "\xff"}', 400),
        (b'{"amount": ' + b"[" * 600 + b"]" * 600 + b"}", 400),
        (b'{"amount": 5, "amount": 500}', 400),
        (b'{"amount": 5, "to": "\\ud800"}', 400),
        (b'{"amount": 99.99999999999999999999}', 200),  # a double would make it 100
        (b'{"amount": 1e400}', 403),
    ],
)
async def test_the_body_is_judged(bank: Bank, body: bytes, status: int) -> None:
    answer = await bank.judge.ask(attempt(bank.token(), "/pay", body, "POST"))
    assert answer.status == status


@pytest.mark.parametrize(("target", "status"), [("/accounts/%31001", 400), ("/nowhere", 403), ("accounts", 400)])
async def test_a_path_that_policy_cannot_see_rightly_is_refused(bank: Bank, target: str, status: int) -> None:
    answer = await bank.judge.ask(attempt(bank.token(), target))
    assert answer.status == status
    assert bank.seen == []


@pytest.mark.parametrize(
    ("kind", "value"), [("principal", "person:alice"), ("address", "10.0.0.5"), ("range", "10.0.0.0/24")]
)
async def test_a_block_refuses_before_policy_is_asked(bank: Bank, kind: TargetKind, value: str) -> None:
    bank.blocklist.enforce([block(kind, value)])
    answer = await bank.judge.ask(attempt(bank.token()))
    assert (answer.status, answer.reasons) == (403, ("blocked",))
    assert dict(answer.identity())["x-portcullis-subject"] == "person:alice"
    assert bank.seen == []
    bank.blocklist.lift(["b-1"])
    assert (await bank.judge.ask(attempt(bank.token()))).allowed


async def test_a_blocked_address_needs_no_credentials_to_be_refused(bank: Bank) -> None:
    bank.blocklist.enforce([block("address", "10.0.0.5")])
    assert (await bank.judge.ask(attempt(""))).status == 403


async def test_a_policy_that_breaks_refuses(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    await bank.judge.ask(attempt(bank.token()))

    def broken(*_: object) -> None:
        raise RuntimeError("policy engine")

    monkeypatch.setattr(bank.pdp, "decide", broken)
    answer = bank.judge.at_once(attempt(bank.token()))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.effect) == (503, "deny")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(max_size=20),
    st.text(max_size=40) | st.text(alphabet="/.%;accounts01", max_size=40).map(lambda rest: f"/{rest}"),
    st.binary(max_size=40),
    st.text(max_size=20),
)
async def test_any_attempt_without_proof_is_refused(
    shared: Bank, method: str, target: str, body: bytes, authorization: str
) -> None:
    """Invariant: an answer below 500 that is never an allow."""
    made = Attempt(method, target, "h", "10.0.0.5", Credentials(authorization), body)
    answer = await shared.judge.ask(made)
    assert 400 <= answer.status < 500
    assert answer.effect == "deny"
