"""Pushed security events (RFC 8935): who is believed, what is refused with which code, nothing twice or too early."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from gateway.decision_api import Bounds, serve_unix
from gateway.identity import KeySet
from gateway.signals import SecurityEvent, Subject, SubjectId
from tests.gateway import asgi
from tests.gateway.issuer_rig import new_key, public
from tests.gateway.signals_rig import (
    ALICE,
    HERE,
    IDP,
    SESSION_REVOKED,
    TRANSMITTER,
    Endpoints,
    configuration,
    counted,
    event_claims,
    event_token,
    logout_claims,
    transmitter,
)
from tests.gateway.token_rig import EC, KEYS, NOW, RSA, STRANGER, b64, encoded, signed

DEADLINE = 5.0  # seconds until a test gives up waiting
PUSH_TOKEN = "a token of the transmitter".replace(" ", "-")


@pytest.fixture
def endpoints() -> Endpoints:
    return Endpoints()


async def test_an_event_is_delivered_and_acknowledged(endpoints: Endpoints) -> None:
    status, headers, body = await endpoints.push(event_token(jti="j1"))
    assert (status, body) == (202, b"")  # RFC 8935 section 2.2
    assert headers["cache-control"] == "no-store"
    assert endpoints.delivered == [
        SecurityEvent(
            type=SESSION_REVOKED,
            subject=Subject({"": (SubjectId("iss_sub", IDP, "alice"),)}),
            claims={"event_timestamp": int(NOW) - 1},
            issuer=TRANSMITTER,
            jti="j1",
            issued=NOW,
            txn="t-1",
        )
    ]


async def test_an_event_that_comes_again_is_acknowledged_and_not_delivered_again(endpoints: Endpoints) -> None:
    token = event_token()
    assert [(await endpoints.push(token))[0] for _ in range(3)] == [202] * 3
    assert len(endpoints.delivered) == 1


async def test_each_transmitter_has_ids_of_its_own() -> None:
    other = "https://other.example"
    endpoints = Endpoints(configuration(transmitter(), transmitter(issuer=other)))
    for issuer in (TRANSMITTER, other):
        assert (await endpoints.push(event_token(iss=issuer, jti="same")))[0] == 202
    assert [event.issuer for event in endpoints.delivered] == [TRANSMITTER, other]


async def test_what_is_not_durable_is_not_acknowledged_and_may_come_again(endpoints: Endpoints) -> None:
    async def fails() -> None:
        raise OSError("the disk is full")

    endpoints.before = fails
    token = event_token()
    for _ in range(2):
        status, headers, _ = await endpoints.push(token)
        assert (status, headers["retry-after"]) == (503, "1")
    endpoints.before = None
    assert (await endpoints.push(token))[0] == 202
    assert len(endpoints.delivered) == 1


@pytest.mark.parametrize("succeeds", [True, False])
async def test_who_shows_a_token_while_it_is_delivered_waits_for_how_that_ends(
    endpoints: Endpoints, succeeds: bool
) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        begun.set()
        await finish.wait()
        if not succeeds:
            raise OSError

    endpoints.before = slowly
    token = event_token()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(endpoints.push(token))
        await begun.wait()
        others = [tasks.create_task(endpoints.push(token)) for _ in range(5)]
        for _ in range(20):  # turns of the loop, in which each could have answered
            await asyncio.sleep(0)
        assert not any(task.done() for task in others)
        finish.set()
    assert {task.result()[0] for task in (first, *others)} == {202 if succeeds else 503}
    assert len(endpoints.delivered) == succeeds


async def test_a_caller_that_gives_up_takes_nothing_from_the_others(endpoints: Endpoints) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        begun.set()
        await finish.wait()

    endpoints.before = slowly
    token = event_token()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(endpoints.push(token))
        await begun.wait()
        impatient = tasks.create_task(endpoints.push(token))
        await asyncio.sleep(0)
        impatient.cancel()
        finish.set()
    assert first.result()[0] == 202
    endpoints.before = None
    assert (await endpoints.push(token))[0] == 202
    assert len(endpoints.delivered) == 1


async def test_a_delivery_that_is_cancelled_did_not_happen(endpoints: Endpoints) -> None:
    begun = asyncio.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    endpoints.before = never
    token = event_token()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(endpoints.push(token))
        await begun.wait()
        other = tasks.create_task(endpoints.push(token))
        await asyncio.sleep(0)
        first.cancel()
    assert other.result()[0] == 503
    endpoints.before = None
    assert (await endpoints.push(token))[0] == 202
    assert len(endpoints.delivered) == 1


async def test_a_transmitter_must_show_its_token() -> None:
    endpoints = Endpoints(push_tokens={TRANSMITTER: PUSH_TOKEN})
    token = event_token()
    for shown in ("", "Bearer", "Bearer wrong", PUSH_TOKEN, f"Basic {PUSH_TOKEN}", f"Bearer {PUSH_TOKEN}x", "Bearer é"):
        status, headers, answer = await endpoints.push(token, **({"authorization": shown} if shown else {}))
        assert (status, headers["www-authenticate"], answer["err"]) == (401, "Bearer", "authentication_failed")
        assert PUSH_TOKEN not in answer["description"]
    assert not endpoints.delivered
    assert (await endpoints.push(token, authorization=f"Bearer {PUSH_TOKEN}"))[0] == 202


async def test_of_two_authorizations_none_counts() -> None:
    endpoints = Endpoints(push_tokens={TRANSMITTER: PUSH_TOKEN})
    shown = [("authorization", f"Bearer {PUSH_TOKEN}")] * 2
    headers = [("content-type", "application/secevent+jwt"), *shown]
    assert (await endpoints.ask("/events", event_token().encode(), headers))[0] == 401


async def test_a_transmitter_that_is_polled_may_not_push() -> None:
    endpoints = Endpoints(configuration(transmitter(delivery="poll", token="t" * 16)))
    assert await endpoints.error(event_token()) == "access_denied"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "https://evil.example"}, "invalid_issuer"),
        ({"iss": None}, "invalid_issuer"),
        ({"iss": [TRANSMITTER]}, "invalid_issuer"),
        ({"iss": TRANSMITTER + "/"}, "invalid_issuer"),
        ({"aud": "https://other.example"}, "invalid_audience"),
        ({"aud": []}, "invalid_audience"),
        ({"aud": None}, "invalid_request"),
        ({"aud": {"a": HERE}}, "invalid_request"),
        ({"jti": None}, "invalid_request"),
        ({"jti": ""}, "invalid_request"),
        ({"jti": 7}, "invalid_request"),
        ({"jti": "j" * 257}, "invalid_request"),
        ({"iat": None}, "invalid_request"),
        ({"iat": "now"}, "invalid_request"),
        ({"iat": True}, "invalid_request"),
        ({"iat": -1}, "invalid_request"),
        ({"iat": 10**30}, "invalid_request"),
        ({"iat": NOW + 11}, "invalid_request"),
        ({"iat": NOW - 86_401}, "invalid_request"),
        ({"exp": NOW + 60}, "invalid_request"),  # SSF 1.0 section 4.1.7
        ({"sub": "alice"}, "invalid_request"),  # SSF 1.0 section 4.1.2
        ({"txn": 7}, "invalid_request"),
        ({"events": None}, "invalid_request"),
        ({"events": {}}, "invalid_request"),
        ({"events": []}, "invalid_request"),
        ({"events": {SESSION_REVOKED: None}}, "invalid_request"),
        ({"events": {SESSION_REVOKED: []}}, "invalid_request"),
        ({"events": {f"urn:x:{number}": {} for number in range(17)}}, "invalid_request"),
        ({"sub_id": None}, "invalid_request"),
        ({"sub_id": "alice"}, "invalid_request"),
        ({"sub_id": {"format": "catalog_item", "catalog_id": "c0384"}}, "invalid_request"),
    ],
)
async def test_claims_that_are_refused(endpoints: Endpoints, changes: dict[str, Any], error: str) -> None:
    assert await endpoints.error(event_token(**changes)) == error


@pytest.mark.parametrize(
    "changes", [{"iat": NOW + 10}, {"iat": NOW - 86_400}, {"iat": NOW + 0.5}, {"aud": ["x", HERE]}]
)
async def test_claims_at_the_edge_are_accepted(endpoints: Endpoints, changes: dict[str, Any]) -> None:
    assert (await endpoints.push(event_token(**changes)))[0] == 202
    assert len(endpoints.delivered) == 1


def _by_public_key(claims: dict[str, Any]) -> str:
    """HS256, with what everybody knows as the secret."""
    pem = EC.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    message = encoded({"alg": "HS256", "typ": "secevent+jwt", "kid": "e"}) + "." + encoded(claims)
    return f"{message}.{b64(hmac.digest(pem, message.encode(), 'sha256'))}"


@pytest.mark.parametrize(
    ("token", "error"),
    [
        (signed(event_claims(), STRANGER, typ="secevent+jwt"), "authentication_failed"),
        (signed(event_claims(), EC, typ="secevent+jwt", kid="unknown"), "invalid_key"),
        (signed(event_claims(), EC, typ="secevent+jwt", kid=""), "invalid_key"),
        (signed(event_claims(), RSA, "RS512", typ="secevent+jwt", kid="r"), "invalid_key"),
        (_by_public_key(event_claims()), "invalid_key"),
        (signed(event_claims(), typ="at+jwt"), "invalid_request"),
        (signed(event_claims(), typ="logout+jwt"), "invalid_request"),
        (signed(logout_claims(), typ="logout+jwt"), "invalid_request"),
        (signed(event_claims(), typ="JWT"), "invalid_request"),
        (signed(event_claims(), typ=None), "invalid_request"),
        (signed(event_claims(), typ="secevent+jwt", jku="https://evil.example/jwks"), "invalid_request"),
        (signed(event_claims(), typ="secevent+jwt", x5u="https://evil.example/c"), "invalid_request"),
        (signed(event_claims(), typ="secevent+jwt", jwk=public("e", STRANGER)), "invalid_request"),
        (signed(event_claims(), typ="secevent+jwt", crit=["exp"]), "invalid_request"),
        (encoded({"alg": "none", "typ": "secevent+jwt"}) + "." + encoded(event_claims()) + ".", "invalid_request"),
        (signed(b'{"iss":"a","iss":"%s"}' % TRANSMITTER.encode(), typ="secevent+jwt"), "invalid_request"),
        (signed(b"[" * 5_000, typ="secevent+jwt"), "invalid_request"),
        (signed(b"\xff", typ="secevent+jwt"), "invalid_request"),
        ("", "invalid_request"),
        ("a.b", "invalid_request"),
        (b"\xff\xfe", "invalid_request"),
        ("x" * (1 << 20), "invalid_request"),
    ],
)
async def test_tokens_that_are_refused(endpoints: Endpoints, token: str | bytes, error: str) -> None:
    assert await endpoints.error(token) == error


async def test_claims_that_nest_too_deep(endpoints: Endpoints) -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"a": deep}
    assert await endpoints.error(event_token(deep=deep)) == "invalid_request"


@pytest.mark.parametrize("kind", ["application/json", "", "application/jwt", "text/plain"])
async def test_another_content_type_is_refused(endpoints: Endpoints, kind: str) -> None:
    status, _, answer = await endpoints.push(event_token(), kind=kind)
    assert (status, answer["err"]) == (400, "invalid_request")
    assert not endpoints.delivered


async def test_other_methods_and_paths(endpoints: Endpoints) -> None:
    assert (await endpoints.ask("/events", b"", [], "GET"))[0] == 405
    assert (await endpoints.ask("/other", b"", []))[0] == 404


async def test_unknown_events_are_acknowledged_and_counted(endpoints: Endpoints) -> None:
    labels = {"issuer": TRANSMITTER, "type": "unknown"}
    before = counted("portcullis_gateway_security_events_total", **labels)
    token = event_token(events={"urn:example:one": {}, SESSION_REVOKED: {}, "urn:example:two": {"a": 1}})
    assert (await endpoints.push(token))[0] == 202
    assert (await endpoints.push(event_token(events={"urn:example:one": {}}, sub_id=None)))[0] == 202
    assert [event.type for event in endpoints.delivered] == [SESSION_REVOKED]
    assert counted("portcullis_gateway_security_events_total", **labels) == before + 3


async def test_a_key_that_is_not_known_is_fetched() -> None:
    endpoints, key = Endpoints(), new_key()
    endpoints.keys = KeySet.parse({"keys": [public("new", key)]})
    assert (await endpoints.push(signed(event_claims(), key, typ="secevent+jwt", kid="new")))[0] == 202
    assert endpoints.fetched == [TRANSMITTER]


async def test_without_any_keys_nothing_is_refused_for_good(endpoints: Endpoints) -> None:
    endpoints.keys = KeySet(missing="issuer unreachable since 2027-01-01")
    endpoints.receiver.put_keys(TRANSMITTER, endpoints.keys)
    token = event_token()
    assert (await endpoints.push(token))[0] == 503
    assert not endpoints.delivered
    endpoints.keys = KEYS
    assert (await endpoints.push(token))[0] == 202


async def test_a_full_memory_turns_away() -> None:
    config = configuration(replay_entries=1000)
    endpoints = Endpoints(config)
    for _ in range(1000):
        assert (await endpoints.push(event_token()))[0] == 202
    assert (await endpoints.push(event_token()))[0] == 503
    assert len(endpoints.delivered) == 1000
    endpoints.now = NOW + 2 * 86_400  # what is remembered has ended
    assert (await endpoints.push(event_token(iat=int(endpoints.now))))[0] == 202


async def test_when_the_clock_goes_back_nothing_is_acknowledged_undelivered(endpoints: Endpoints) -> None:
    assert (await endpoints.push(event_token()))[0] == 202
    endpoints.now = NOW + 10 * 86_400
    assert (await endpoints.push(event_token(iat=int(endpoints.now))))[0] == 202
    endpoints.now = NOW + 1
    assert (await endpoints.push(event_token()))[0] == 503
    assert len(endpoints.delivered) == 2


async def test_a_body_that_ends_early_is_refused(endpoints: Endpoints) -> None:
    headers = [(b"content-type", b"application/secevent+jwt")]
    status, _, _ = await asgi.ask(endpoints.app, {"path": "/events", "headers": headers}, None)
    assert status == 400


async def test_over_a_socket_a_megabyte_gets_the_rfcs_error(endpoints: Endpoints, tmp_path: Path) -> None:
    socket = tmp_path / "signals.sock"
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve_unix(endpoints.app, socket, Bounds(2 << 20, DEADLINE), 8))
        while not socket.exists():  # noqa: ASYNC110  # the file is the event
            await asyncio.sleep(0.001)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
            for token, status in ((event_token(), 202), ("x" * (1 << 20), 400), (event_token(), 202)):
                headers = {"content-type": "application/secevent+jwt"}
                async with session.post("http://here/events", data=token, headers=headers) as response:
                    assert response.status == status
                    if status == 400:
                        assert (await response.json())["err"] == "invalid_request"
        serving.cancel()
    assert len(endpoints.delivered) == 2


# --- Whatever comes -----------------------------------------------------------------------------------

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_CHANGES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["iss", "aud", "iat", "jti", "txn", "sub", "exp", "sub_id", "events", "nonce", "toe"]),
    _VALUES | st.just(ALICE) | st.just({SESSION_REVOKED: {}}),
    max_size=3,
)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_get_the_rfcs_error(body: bytes) -> None:
    endpoints = Endpoints()
    error = asyncio.run(endpoints.error(body))
    assert error in {"invalid_request", "invalid_issuer"}


@given(_CHANGES)
def test_any_claims_that_the_transmitter_signs_are_its_own_word_or_refused(changes: dict[str, Any]) -> None:
    endpoints = Endpoints()
    status, _, answer = asyncio.run(endpoints.push(signed(event_claims() | changes, typ="secevent+jwt")))
    assert status in (202, 400), answer
    for event in endpoints.delivered:
        assert (status, event.type, event.issuer) == (202, SESSION_REVOKED, changes.get("iss", TRANSMITTER))
        assert changes.get("aud", HERE) in (HERE, [HERE])
        assert event.jti == changes.get("jti", event.jti)
        assert not {"sub", "exp"} & changes.keys()


@given(st.integers(0, 10_000), st.sampled_from("ABCabc019-_."))
def test_no_changed_character_is_believed(at: int, other: str) -> None:
    endpoints, good = Endpoints(), event_token()
    changed = good[: at % len(good)] + other + good[at % len(good) + 1 :]
    status, _, _ = asyncio.run(endpoints.push(changed))
    assert (status, len(endpoints.delivered)) == ((202, 1) if changed == good else (400, 0))
