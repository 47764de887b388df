"""What requests prove beside a token, and who that makes them: keys that are held, requests that are signed."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from bench.identities.callers import HOST, PATH, Bank
from gateway.agents import Agent, State
from gateway.identity import Credentials, Message, Refusal
from policy import Principal

COVERED = ('"@method"', '"@authority"', '"@path"')
BOT = "agent:invoice-bot"


@pytest.fixture(scope="module")
def shared() -> Bank:
    return Bank.open(1_000)


@pytest.fixture
def bank(shared: Bank) -> Bank:
    change(shared, "active")
    return shared


def change(bank: Bank, state: State) -> None:
    known = bank.registry.get(BOT)
    assert known is not None
    bank.registry.put(Agent(profile=known.profile, state=state, changed=1.0, by="test", reason="r"))


def identify(bank: Bank, shown: Credentials) -> Principal | Refusal:
    answer = bank.identifier.identify(shown, time.time())
    assert isinstance(answer, Principal | Refusal)
    return answer


def refused(bank: Bank, shown: Credentials) -> str:
    answer = identify(bank, shown)
    assert isinstance(answer, Refusal)
    return answer.error


def signed(bank: Bank, message: Message | None = None, covered: tuple[str, ...] = COVERED, **more: Any) -> Message:
    now = int(time.time())
    given: dict[str, Any] = {
        "created": now,
        "expires": now + 60,
        "nonce": f"{time.perf_counter_ns()}",
        "tag": "web-bot-auth",
    } | more
    return bank.agent.sign(
        message or Message(method="GET", scheme="https", authority=HOST, path=PATH), covered, **given
    )


def test_who_holds_the_key_of_a_bound_token_is_known_once_for_each_proof(bank: Bank) -> None:
    first, second = bank.bound(2)
    answer = identify(bank, first)
    assert isinstance(answer, Principal)
    assert answer.proof == ("bearer", "dpop")
    assert refused(bank, first) == "invalid_dpop_proof"
    assert isinstance(identify(bank, second), Principal)


def test_a_bound_token_without_its_proof_is_worth_nothing(bank: Bank) -> None:
    (shown,) = bank.bound(1)
    (other,) = bank.bound(1)
    bearer = shown.authorization.replace("DPoP", "Bearer")
    assert refused(bank, msgspec.structs.replace(shown, dpop="")) == "invalid_dpop_proof"
    assert refused(bank, msgspec.structs.replace(shown, request=None)) == "invalid_dpop_proof"
    assert refused(bank, msgspec.structs.replace(shown, dpop=other.dpop)) == "invalid_dpop_proof"
    assert refused(bank, msgspec.structs.replace(shown, authorization=bearer)) == "invalid_token"
    (plain,) = bank.bearers("ES256", 1)
    assert refused(bank, Credentials(plain.authorization.replace("Bearer", "DPoP"))) == "invalid_token"


def test_a_proof_is_for_one_request(bank: Bank) -> None:
    (shown,) = bank.bound(1)
    assert shown.request is not None
    for changed in ({"method": "POST"}, {"path": "/accounts/1002"}, {"authority": "evil.example"}, {"scheme": "http"}):
        elsewhere = msgspec.structs.replace(shown.request, **changed)
        assert refused(bank, msgspec.structs.replace(shown, request=elsewhere)) == "invalid_dpop_proof"
    assert isinstance(identify(bank, shown), Principal)


def test_a_registered_agent_that_signs_is_known_with_its_record(bank: Bank) -> None:
    answer = identify(bank, Credentials(request=signed(bank)))
    assert isinstance(answer, Principal)
    assert (answer.id, answer.kind, answer.proof) == (BOT, "agent", ("http-signature",))
    assert answer.agent["purpose"] == "pays invoices"


def test_a_signature_counts_once_and_for_its_request(bank: Bank) -> None:
    message = signed(bank)
    assert isinstance(identify(bank, Credentials(request=message)), Principal)
    assert refused(bank, Credentials(request=message)) == "invalid_signature"
    moved = msgspec.structs.replace(signed(bank), path="/accounts/1002")
    assert refused(bank, Credentials(request=moved)) == "invalid_signature"


def test_a_stopped_agent_is_refused_at_once_however_it_comes(bank: Bank) -> None:
    delegated = Credentials(f"Bearer {bank.issuers['ES256'].token(act={'sub': BOT})}")
    assert isinstance(identify(bank, delegated), Principal)
    change(bank, "suspended")
    assert refused(bank, delegated) == "invalid_token"
    assert refused(bank, Credentials(request=signed(bank))) == "invalid_token"
    change(bank, "active")
    assert isinstance(identify(bank, delegated), Principal)


def test_an_agent_that_nobody_registered_is_refused(bank: Bank) -> None:
    stranger = Credentials(f"Bearer {bank.issuers['ES256'].token(act={'sub': 'agent:stranger'})}")
    assert refused(bank, stranger) == "invalid_token"


def test_who_signs_must_be_who_acts(bank: Bank) -> None:
    token = f"Bearer {bank.issuers['ES256'].token()}"
    request = Message(method="GET", scheme="https", authority=HOST, path=PATH, headers=(("authorization", token),))
    covered = (*COVERED, '"authorization"')
    assert refused(bank, Credentials(token, request=signed(bank, request, covered))) == "invalid_signature"
    token = f"Bearer {bank.issuers['ES256'].token(act={'sub': BOT})}"
    request = msgspec.structs.replace(request, headers=(("authorization", token),))
    answer = identify(bank, Credentials(token, request=signed(bank, request, covered)))
    assert isinstance(answer, Principal)
    assert answer.proof == ("bearer", "http-signature")


def test_a_workload_is_known_by_its_certificate(bank: Bank) -> None:
    (shown,) = bank.certificates(1)
    answer = identify(bank, shown)
    assert isinstance(answer, Principal)
    assert (answer.kind, answer.id) == ("workload", "workload:spiffe://bank.example/batch/0")
