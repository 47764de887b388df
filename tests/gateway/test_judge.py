"""The judge: every attempt has an answer, and only a decision to allow lets one pass."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.agents import Agent, Profile, Registry, Vetting
from gateway.config import Transactions
from gateway.enforcement import Answer, Attempt, RefusalLog
from gateway.identity import Credentials, Identifier, Refusal
from policy import AccessRequest, BlockPolicy, Cause, Decision, Target, TargetKind
from telemetry import Event, EventBatch, Kind
from tests.gateway.parts import ISSUER, Bank
from verifier import read_keys, verify


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


@pytest.mark.parametrize("method", ["", "FOO", "get", "CONNECT", "PRI", "GET,GET", "A" * 10_000])
async def test_a_method_that_there_is_not_is_refused(bank: Bank, method: str) -> None:
    answer = await bank.judge.ask(attempt(bank.token(), method=method))
    assert (answer.status, answer.reasons) == (400, ("unknown_method",))
    assert not bank.seen


async def test_policy_sees_a_body_only_where_its_route_shows_it(bank: Bank) -> None:
    assert (await bank.judge.ask(attempt(bank.token(), body=b"x"))).allowed
    assert (await bank.judge.ask(attempt(bank.token(), "/accounts/7", body=b'{"amount": 5}'))).status == 403
    assert [request.body for request, _ in bank.seen] == [None, None]


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


async def test_an_agent_that_cannot_step_up_is_told_that_it_lacks_scope(bank: Bank) -> None:
    answer = await bank.judge.ask(attempt(bank.token(act={"sub": "agent:bot"}), "/step"))
    assert (answer.status, answer.effect) == (403, "step_up")
    assert answer.challenge == 'Bearer realm="portcullis", error="insufficient_scope"'


async def test_the_log_alone_says_why_nobody_was_identified(bank: Bank) -> None:
    with capture_logs() as lines:
        answer = await bank.judge.ask(attempt(bank.token(aud="urn:other")))
        assert (await bank.judge.ask(attempt(""))).reasons == ("no_credentials",)
        assert (await bank.judge.ask(attempt(bank.token()))).allowed
    assert [(line["decision"], line["error"], line["why"]) for line in lines] == [
        (answer.id, "invalid_token", "audience")
    ]
    assert b"audience" not in answer.body()
    assert "audience" not in answer.challenge


def test_the_log_of_refusals_is_bounded_by_the_second_and_by_the_line() -> None:
    now, written = [0.0], []
    log = RefusalLog(lambda: now[0])
    for second in (0.0, 0.9, 1.0):
        now[0] = second
        with capture_logs() as lines:
            for number in range(8):
                log.tell(Refusal("invalid_token", "x" * 10_000), decision=f"r-{number}")
        written.append(len(lines))
    assert written == [8, 2, 8]
    assert len(lines[0]["why"]) == 300


async def test_a_token_for_one_service_is_none_for_another() -> None:
    bank = Bank(audiences={"ledger": "urn:ledger"})
    for audience, target, status in [
        ("bank", "/accounts/1001", 200),
        ("bank", "/bank.Ledger/Balance", 401),
        ("urn:ledger", "/accounts/1001", 401),
        ("urn:ledger", "/bank.Ledger/Balance", 200),
        (["bank", "urn:ledger"], "/bank.Ledger/Balance", 200),
        ("urn:other", "/accounts/1001", 401),
    ]:
        assert (await bank.judge.ask(attempt(bank.token(aud=audience), target))).status == status


async def test_the_transaction_token_names_the_service_and_who_acts(bank: Bank) -> None:
    answer = await bank.judge.ask(attempt(bank.token(act={"sub": "agent:bot"})))
    found = verify(answer.transaction, read_keys(bank.ring.jwks()), issuer=Transactions().issuer, audience="bank")
    assert (found.subject, found.actors) == ("person:alice", ("agent:bot",))
    assert answer.transaction not in dict(answer.identity()).values()


async def test_policy_sees_the_posture_of_the_callers_device(bank: Bank) -> None:
    posture = Event(
        time=1.0, kind=Kind.ENDPOINT, source="mqtt", peer="laptop-1", action="posture", resource="compliant"
    )
    bank.devices.saw(EventBatch.of([posture]))
    await bank.judge.ask(attempt(bank.token(device_id="laptop-1")))
    ((request, _),) = bank.seen
    assert request.device == {"id": "laptop-1", "compliant": True, "seen": 1.0}


async def test_an_agent_that_is_stopped_while_another_engine_thinks_is_refused(bank: Bank) -> None:
    registry = Registry()
    profile = Profile(
        id="agent:bot", owner="team:a", purpose="p", model="m", version="1", expires=4e9, may_act_for=("*",)
    )
    registry.put(Agent(profile=profile, changed=0.0, by="test"))
    identifier = Identifier(bank.config.identity, Vetting(registry, True, "test"))
    bank.identifier = bank.judge._identifier = identifier
    asking = bank.pdp.ask

    async def slow(request: AccessRequest) -> Decision:
        registry.put(Agent(profile=profile, state="suspended", changed=1.0, by="test", reason="stopped"))
        return await asking(request)

    shown = attempt(bank.token(act={"sub": "agent:bot"}))
    assert (await bank.judge.ask(shown)).allowed
    bank.pdp.ask = slow  # type: ignore[method-assign]
    assert (await bank.judge.ask(shown)).status == 401


async def test_who_asks_is_looked_at_once_where_another_engine_decides(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof of possession that was looked at twice would be a replay."""
    await bank.judge.ask(attempt(bank.token()))
    monkeypatch.setattr(type(bank.pdp), "immediate", False)
    looked, identify = list[Credentials](), bank.identifier.identify

    def counted(shown: Credentials, now: float) -> Any:
        looked.append(shown)
        return identify(shown, now)

    monkeypatch.setattr(bank.identifier, "identify", counted)
    shown = attempt(bank.token())
    answer = bank.judge.at_once(shown) or await bank.judge.ask(shown)
    assert answer.allowed
    assert len(looked) == 1


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
    assert answer.effect == "deny:b-1"  # the log alone is told which; the caller is not
    assert b"b-1" not in answer.body()
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
