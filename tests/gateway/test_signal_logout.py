"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): whose word ends a session, and whose does not."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Logout
from gateway.identity import KeySet
from gateway.signals import LOGOUT, SecurityEvent, Subject, SubjectId
from tests.gateway.issuer_rig import new_key, public
from tests.gateway.signals_rig import IDP, Endpoints, configuration, counted, event_token, logout_claims, logout_token
from tests.gateway.token_rig import KEYS, NOW, RSA, STRANGER, encoded, signed

SID = "08a5019c-17e1-4977-8f42-65a12843ea02"
FORM = [("content-type", "application/x-www-form-urlencoded")]


@pytest.fixture
def endpoints() -> Endpoints:
    return Endpoints()


async def refused(endpoints: Endpoints, token: str) -> str:
    status, headers, answer = await endpoints.logout(token)
    assert (status, headers["cache-control"], answer["error"]) == (400, "no-store", "invalid_request")
    assert not endpoints.delivered
    return str(answer["error_description"])


async def test_the_example_of_the_specification() -> None:
    """Section 2.4."""
    claims = {
        "iss": "https://server.example.com",
        "sub": "248289761001",
        "aud": "s6BhdRkqt3",
        "iat": 1471566154,
        "exp": 1471569754,
        "jti": "bWJq",
        "sid": SID,
        "events": {LOGOUT: {}},
    }
    base = configuration(logout=())
    issuer = base.identity.issuers[0].model_copy(update={"issuer": claims["iss"]})
    sender = Logout(issuer=issuer.issuer, client_id="s6BhdRkqt3")
    config = base.model_copy(
        update={
            "identity": base.identity.model_copy(update={"issuers": (issuer,)}),
            "signals": base.signals.model_copy(update={"logout": (sender,)}),
        }
    )
    endpoints = Endpoints(config)
    endpoints.now = 1471566154 + 1
    status, headers, body = await endpoints.logout(signed(claims, typ="logout+jwt"))
    assert (status, headers["cache-control"], body) == (200, "no-store", b"")
    subject = Subject(
        {
            "user": (SubjectId("iss_sub", issuer.issuer, "248289761001"),),
            "session": (SubjectId("opaque", issuer.issuer, SID),),
        }
    )
    assert endpoints.delivered == [SecurityEvent(LOGOUT, subject, {}, issuer.issuer, "bWJq", 1471566154.0)]


@pytest.mark.parametrize(("changes", "members"), [({"sid": None}, {"user"}), ({"sub": None}, {"session"})])
async def test_a_person_or_a_session(endpoints: Endpoints, changes: dict[str, Any], members: set[str]) -> None:
    assert (await endpoints.logout(logout_token(**changes)))[0] == 200
    assert endpoints.delivered[0].subject.members.keys() == members


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": [IDP]},
        {"aud": "bank"},
        {"aud": ["portcullis", "another"]},
        {"aud": []},
        {"aud": None},
        {"iat": None},
        {"iat": "now"},
        {"iat": NOW + 11},
        {"exp": None},
        {"exp": True},
        {"exp": NOW - 10},
        {"exp": NOW + 3611},
        {"exp": 10**30},
        {"jti": None},
        {"jti": ""},
        {"jti": ["j"]},
        {"events": None},
        {"events": {}},
        {"events": []},
        {"events": {LOGOUT: None}},
        {"events": {LOGOUT: []}},
        {"events": {"urn:other": {}}},
        {"events": {LOGOUT: {}, "urn:other": {}}},
        {"sub": None, "sid": None},
        {"sub": ""},
        {"sid": 7},
        {"nonce": "n"},
        {"nonce": ""},
    ],
    ids=str,
)
async def test_claims_that_end_nothing(endpoints: Endpoints, changes: dict[str, Any]) -> None:
    await refused(endpoints, logout_token(**changes))


async def test_a_nonce_of_null_is_a_nonce(endpoints: Endpoints) -> None:
    claims = logout_claims() | {"nonce": None}
    await refused(endpoints, signed(claims, typ="logout+jwt"))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "x" * (1 << 20),
        signed(logout_claims(), STRANGER, typ="logout+jwt"),
        signed(logout_claims(), typ="logout+jwt", kid="unknown"),
        signed(logout_claims(), typ="logout+jwt", kid=None),
        signed(logout_claims(), RSA, "RS384", typ="logout+jwt", kid="r"),
        signed(logout_claims(), typ="at+jwt"),
        signed(logout_claims(), typ="secevent+jwt"),
        signed(logout_claims(), typ="JWT"),
        signed(logout_claims(), typ=None),
        signed(logout_claims(), typ="logout+jwt", jku="https://evil.example"),
        signed(b'{"iss":"a","iss":"b"}', typ="logout+jwt"),
        encoded({"alg": "none", "typ": "logout+jwt"}) + "." + encoded(logout_claims()) + ".",
        event_token(iss=IDP, aud="portcullis"),
    ],
)
async def test_tokens_that_end_nothing(endpoints: Endpoints, token: str) -> None:
    await refused(endpoints, token)


async def test_types_count_where_they_are_configured() -> None:
    sender = Logout(issuer=IDP, client_id="portcullis", token_types=("JWT", ""))
    endpoints = Endpoints(configuration(logout=(sender,)))
    for typ in ("JWT", None):
        assert (await endpoints.logout(signed(logout_claims(), typ=typ)))[0] == 200
    assert (await endpoints.logout(signed(logout_claims(), typ="logout+jwt")))[0] == 400


async def test_a_token_counts_once(endpoints: Endpoints) -> None:
    before = counted("portcullis_gateway_logout_tokens_total", issuer=IDP, result="refused")
    token = logout_token()
    assert [(await endpoints.logout(token))[0] for _ in range(3)] == [200, 400, 400]
    assert len(endpoints.delivered) == 1
    assert counted("portcullis_gateway_logout_tokens_total", issuer=IDP, result="refused") == before + 2


async def test_a_logout_that_fails_is_an_error_and_may_come_again(endpoints: Endpoints) -> None:
    async def fails() -> None:
        raise OSError("the disk is full")

    endpoints.before = fails
    token = logout_token()
    assert "try again" in await refused(endpoints, token)  # section 2.8
    endpoints.before = None
    assert (await endpoints.logout(token))[0] == 200


async def test_a_key_that_is_not_known_is_fetched(endpoints: Endpoints) -> None:
    key = new_key()
    endpoints.keys = KeySet.parse({"keys": [public("new", key)]})
    assert (await endpoints.logout(signed(logout_claims(), key, typ="logout+jwt", kid="new")))[0] == 200
    assert endpoints.fetched == [IDP]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", FORM),
        (b"logout_token", FORM),
        (b"other=1", FORM),
        (b"\xff", FORM),
        (b"logout_token=%FF", FORM),
        (urlencode([("logout_token", logout_token())] * 2).encode(), FORM),
        (urlencode([("logout_token", logout_token()), *[("a", "b")] * 20]).encode(), FORM),
        (b"logout_token=" + b"x" * (1 << 20), FORM),
        (urlencode({"logout_token": logout_token()}).encode(), [("content-type", "application/json")]),
        (urlencode({"logout_token": logout_token()}).encode(), []),
    ],
)
async def test_requests_that_end_nothing(endpoints: Endpoints, body: bytes, headers: list[tuple[str, str]]) -> None:
    status, names, answer = await endpoints.ask("/logout", body, headers)
    assert (status, names["cache-control"], answer["error"]) == (400, "no-store", "invalid_request")
    assert not endpoints.delivered


async def test_what_else_stands_in_the_form_is_ignored(endpoints: Endpoints) -> None:
    body = urlencode({"logout_token": logout_token(), "state": "s"}).encode()
    assert (await endpoints.ask("/logout", body, FORM))[0] == 200
    assert (await endpoints.ask("/logout", b"", [], "GET"))[0] == 405


@given(st.binary(max_size=200) | st.dictionaries(st.text(), st.text()).map(lambda form: urlencode(form).encode()))
def test_any_body_gets_the_specifications_error(body: bytes) -> None:
    endpoints = Endpoints(keys=KEYS)
    assert asyncio.run(endpoints.ask("/logout", body, FORM))[0] == 400
    assert not endpoints.delivered
