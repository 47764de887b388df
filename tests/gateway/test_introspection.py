"""Opaque tokens: what an issuer's answer makes of them, for how long it counts, and how seldom it is asked."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.config import ClaimNames, Introspection, Issuer
from gateway.identity import Discovery, Introspector, Refusal
from gateway.identity.introspection import answered
from policy import Principal
from tests.gateway.issuer_rig import LocalIssuer

NOW = 1_800_000_000.0
DEADLINE = 5.0  # seconds until a test gives up waiting
SETTINGS = Introspection(client_id="gate way", client_secret=SecretStr("s:c/r+t é"))

# RFC 7662 section 2.2
ACTIVE = {
    "active": True,
    "client_id": "l238j323ds-23ij4",
    "username": "jdoe",
    "scope": "read write dolphin",
    "sub": "Z5O3upPC88QrAjx00dis",
    "aud": "https://protected.example.net/resource",
    "iss": "https://server.example.com/",
    "exp": 1419356238,
    "iat": 1419350238,
    "extension_field": "twenty-seven",
}
AUDIENCE = "https://protected.example.net/resource"
ISSUER = Issuer(issuer="https://server.example.com/", audience=AUDIENCE, vouches_for=("person", "workload", "agent"))
THEN = 1419352000.0


def answer(changes: dict[str, Any], now: float = THEN, issuer: Issuer = ISSUER) -> Principal | Refusal:
    said = {name: value for name, value in (ACTIVE | changes).items() if value is not None}
    return answered(said, issuer, SETTINGS, (AUDIENCE,), 4, now)


def test_the_active_token_of_rfc_7662() -> None:
    jdoe = answer({})
    assert isinstance(jdoe, Principal)
    assert (jdoe.id, jdoe.client, jdoe.issuer) == ("person:Z5O3upPC88QrAjx00dis", "l238j323ds-23ij4", ISSUER.issuer)
    assert jdoe.scopes == ("read", "write", "dolphin")
    assert jdoe.audience == (AUDIENCE,)
    assert jdoe.attributes == {"username": "jdoe", "extension_field": "twenty-seven"}


def test_the_inactive_token_of_rfc_7662() -> None:
    refusal = answered({"active": False}, ISSUER, SETTINGS, (AUDIENCE,), 4, THEN)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"active": None},
        {"active": "true"},
        {"active": 1},
        {"active": [True]},
        {"token_type": "refresh_token"},
        {"token_type": 7},
        {"typ": "Refresh"},
        {"typ": "ID"},
        {"token_use": "refresh_token"},
        {"nonce": "n"},
        {"iss": "https://evil.example/"},
        {"iss": 7},
        {"sub": None},
        {"aud": None},
        {"aud": "https://other.example"},
        {"exp": THEN},
        {"exp": THEN - 5},
        {"exp": "never"},
        {"exp": True},
        {"nbf": THEN + 60},
        {"act": {"sub": ""}},
        {"cnf": 7},
    ],
    ids=str,
)
def test_an_answer_that_names_nobody(changes: dict[str, Any]) -> None:
    assert isinstance(answer(changes), Refusal)


def test_what_an_answer_may_leave_out() -> None:
    who = answer({"iss": None, "exp": None, "iat": None, "client_id": None, "scope": None})
    assert isinstance(who, Principal)
    assert (who.issuer, who.client, who.scopes, who.issued, who.expires) == (ISSUER.issuer, "", (), 0, THEN + 30)


@pytest.mark.parametrize(("exp", "end"), [(THEN + 10, THEN + 10), (THEN + 3600, THEN + 30)])
def test_a_principal_ends_with_its_token_and_with_the_answer(exp: float, end: float) -> None:
    who = answer({"exp": exp})
    assert isinstance(who, Principal)
    assert who.expires == end


def test_chain_confirmation_and_type_come_along() -> None:
    who = answer({"act": {"sub": "agent:bot"}, "cnf": {"jkt": "x"}, "token_type": "DPoP"})
    assert isinstance(who, Principal)
    assert who.actor == "agent:bot"
    assert who.attributes["cnf"] == {"jkt": "x"}


def test_answers_use_the_names_of_the_rfc_where_tokens_do_not() -> None:
    okta = ISSUER.model_copy(update={"claims": ClaimNames(scopes="scp", client="cid")})
    who = answer({}, issuer=okta)
    assert isinstance(who, Principal)
    assert (who.client, who.scopes) == ("l238j323ds-23ij4", ("read", "write", "dolphin"))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*ACTIVE, "act", "cnf", "nbf", "token_type", "typ"]), _json, max_size=3))
def test_any_answer_names_whom_the_issuer_vouched_for_or_nobody(changes: dict[str, Any]) -> None:
    said = ACTIVE | changes
    who = answered(said, ISSUER, SETTINGS, (AUDIENCE,), 4, THEN)
    if isinstance(who, Principal):
        assert said["active"] is True
        assert who.id == f"person:{said['sub']}"
        assert AUDIENCE in who.audience
        assert THEN < who.expires <= THEN + 30
    else:
        assert isinstance(who, Refusal)


# --- asking


class Clock:
    """The time, which a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asking(issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock, **changes: Any) -> Introspector:
    settings = SETTINGS.model_copy(update=changes)
    config = issuer.config(introspection=settings)
    discovery = Discovery(issuer.url, session)
    return Introspector(config, settings, session, discovery, ("bank",), 4, clock)


def active(**changes: Any) -> dict[str, Any]:
    return {"active": True, "sub": "alice", "aud": "bank", "client_id": "web", "exp": NOW + 300} | changes


async def test_the_question_is_as_rfc_7662_says(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock
) -> None:
    issuer.tokens["good"] = active()
    who = await asking(issuer, session, clock).ask("good")
    assert isinstance(who, Principal)
    assert who.id == "person:alice"
    assert issuer.forms == [{"token": "good", "token_type_hint": "access_token"}]
    # RFC 6749 section 2.3.1: form-encoded, then Basic
    assert issuer.authorizations == ["Basic " + b64encode(b"gate+way:s%3Ac%2Fr%2Bt+%C3%A9").decode()]


async def test_a_secret_in_a_file_may_change(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("one\n")
    introspector = asking(issuer, session, clock, client_id="g", client_secret=None, client_secret_file=file)
    await introspector.ask("a")
    file.write_text("two\n")
    await introspector.ask("b")
    assert issuer.authorizations == ["Basic " + b64encode(pair).decode() for pair in (b"g:one", b"g:two")]
    file.unlink()
    answer = await introspector.ask("c")
    assert isinstance(answer, Refusal)


async def test_a_configured_endpoint_needs_no_discovery(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock
) -> None:
    issuer.tokens["good"] = active()
    introspector = asking(issuer, session, clock, url=f"{issuer.url}/introspect")
    assert isinstance(await introspector.ask("good"), Principal)
    assert issuer.asked["metadata"] == 0


async def test_an_answer_counts_for_its_time(issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock) -> None:
    introspector = asking(issuer, session, clock)
    issuer.tokens["good"] = active()
    assert introspector.known("good", NOW) is None
    who = await introspector.ask("good")
    issuer.tokens.clear()  # revoked
    clock.now = NOW + 29
    assert introspector.known("good", clock.now) == who
    assert await introspector.ask("good") == who
    assert issuer.asked["introspect"] == 1
    clock.now = NOW + 30
    assert introspector.known("good", clock.now) is None
    assert isinstance(await introspector.ask("good"), Refusal)
    issuer.tokens["good"] = active()
    clock.now = NOW + 34
    assert isinstance(await introspector.ask("good"), Refusal)
    assert issuer.asked["introspect"] == 2
    clock.now = NOW + 35
    assert isinstance(await introspector.ask("good"), Principal)


async def test_an_answer_does_not_outlive_its_token(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock
) -> None:
    introspector = asking(issuer, session, clock)
    issuer.tokens["short"] = active(exp=NOW + 3)
    assert isinstance(await introspector.ask("short"), Principal)
    assert isinstance(introspector.known("short", NOW + 2.9), Principal)
    assert introspector.known("short", NOW + 3) is None


async def test_many_who_show_one_token_make_one_question(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.introspection._PATIENCE", DEADLINE)  # this is about how often, not how soon
    introspector = asking(issuer, session, clock)
    issuer.tokens["good"] = active()
    answers = await asyncio.gather(*(introspector.ask("good") for _ in range(1000)))
    assert all(isinstance(answer, Principal) for answer in answers)
    assert issuer.asked["introspect"] == 1


async def test_many_tokens_make_few_questions_at_the_same_time(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock
) -> None:
    introspector = asking(issuer, session, clock, max_requests=4, url=f"{issuer.url}/introspect")
    issuer.open.clear()
    asked = [asyncio.create_task(introspector.ask(f"t{number}")) for number in range(1100)]
    answers = await asyncio.wait_for(asyncio.gather(*asked), DEADLINE)
    assert issuer.asked["introspect"] == 4
    assert {answer.detail for answer in answers if isinstance(answer, Refusal)} == {
        "the issuer does not answer about an opaque token in time",
        "too many opaque tokens to ask about",
    }
    issuer.tokens["t0"] = active()
    issuer.open.set()
    assert isinstance(await introspector.ask("t0"), Refusal)  # answered before it was made good
    assert isinstance(await introspector.ask("t5000"), Refusal)


async def test_a_late_answer_counts_for_who_asks_then(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock
) -> None:
    introspector = asking(issuer, session, clock)
    issuer.tokens["good"] = active()
    issuer.open.clear()
    first = await asyncio.wait_for(introspector.ask("good"), DEADLINE)
    assert first == Refusal("invalid_token", "the issuer does not answer about an opaque token in time")
    issuer.open.set()
    assert isinstance(await introspector.ask("good"), Principal)
    assert issuer.asked["introspect"] == 1


BROKEN = [
    (500, b"", {}),
    (401, b'{"active": true}', {}),
    (200, b"yes", {}),
    (200, b"[]", {}),
    (200, b'{"active": true, "active": false}', {}),
    (200, json.dumps(active(pad="x" * 70_000)).encode(), {}),
    (302, b"", {"Location": "/elsewhere"}),
    (307, b"", {"Location": "/elsewhere"}),
    (308, b"", {"Location": "/elsewhere"}),
]


@pytest.mark.parametrize("instead", BROKEN, ids=["500", "401", "text", "array", "twice", "large", "302", "307", "308"])
async def test_an_unreachable_issuer_is_the_reason_and_is_asked_again(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock, instead: tuple[int, bytes, dict[str, str]]
) -> None:
    introspector = asking(issuer, session, clock, url=f"{issuer.url}/introspect")
    issuer.tokens["good"] = active()
    issuer.instead = instead
    answer = await introspector.ask("good")
    assert isinstance(answer, Refusal)
    assert answer.detail.startswith("issuer unreachable: ")
    assert "good" not in answer.detail
    assert issuer.asked["elsewhere"] == 0
    issuer.instead = None
    assert introspector.known("good", NOW) == answer
    clock.now = NOW + 1
    assert isinstance(await introspector.ask("good"), Principal)


async def test_metadata_without_an_endpoint(issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock) -> None:
    issuer.metadata = {"introspection_endpoint": ""}
    answer = await asking(issuer, session, clock).ask("good")
    assert isinstance(answer, Refusal)
    assert "introspection_endpoint" in answer.detail


@pytest.mark.parametrize("token", ["", "a b", "a\r\nb", "a,b", "é", "=", "a=b", "x" * 4097, "a\n"])
async def test_what_is_no_token_is_not_asked_about(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock, token: str
) -> None:
    assert isinstance(await asking(issuer, session, clock).ask(token), Refusal)
    assert issuer.asked.total() == 0


async def test_neither_token_nor_secret_is_logged(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    introspector = asking(issuer, session, clock, client_secret=SecretStr("hunter2"))
    issuer.instead = (500, b"", {})
    await introspector.ask("opaque-token")
    issuer.instead = None
    clock.now = NOW + 1
    await introspector.ask("opaque-token")
    told = capsys.readouterr()
    assert "cannot be introspected" in told.out + told.err
    assert "hunter2" not in told.out + told.err + repr(introspector.__dict__)
    assert "opaque-token" not in told.out + told.err + repr(introspector.__dict__)


async def test_invented_tokens_push_no_good_one_out(
    issuer: LocalIssuer, session: aiohttp.ClientSession, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.introspection._ANSWERS", 10)
    introspector = asking(issuer, session, clock)
    issuer.tokens["good"] = active()
    await introspector.ask("good")
    for number in range(30):
        assert isinstance(await introspector.ask(f"t{number}"), Refusal)
    assert isinstance(introspector.known("good", NOW), Principal)
    assert introspector.known("t0", NOW) is None
    assert isinstance(introspector.known("t29", NOW), Refusal)
