"""Ordinary requests through a real Envoy: who is asked, who learns what, and what happens when nobody answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.gateway.edge_rig import ALICE, DEADLINE, Rig, deny, rig, until

SPOOFED = {
    "x-portcullis-subject": "person:root",
    "X-Portcullis-Scopes": "all",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-client-cert": "Hash=1;URI=spiffe://bank.example/batch",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-original-path": "/elsewhere",
}


@pytest.fixture
async def edge() -> AsyncIterator[Rig]:
    async with rig() as running:
        yield running


async def test_an_allowed_request_reaches_upstream_with_its_identity_and_without_the_token(edge: Rig) -> None:
    async with edge.http.get(edge.url("/accounts/1?full=1"), headers={"authorization": "Bearer t"}) as answer:
        assert (answer.status, await answer.text()) == (200, "ok")
    (asked,), (seen,) = edge.gateway.asked, edge.seen
    assert (asked["method"], asked["path"]) == ("GET", "/accounts/1?full=1")
    assert asked["headers"]["authorization"] == "Bearer t"
    assert "authorization" not in seen["headers"]
    assert seen["headers"]["x-portcullis-subject"] == "person:alice"
    assert seen["headers"]["x-portcullis-actor"] == "agent:bot"
    assert seen["headers"]["x-portcullis-decision"] == "d-1"


async def test_the_caller_learns_the_decision_and_no_name(edge: Rig) -> None:
    edge.gateway.answer = deny
    async with edge.http.get(edge.url("/accounts/1")) as answer:
        assert answer.status == 403
        assert await answer.json() == {"error": "access_denied"}
        assert answer.headers["www-authenticate"] == 'Bearer realm="bank"'
        assert answer.headers["x-portcullis-decision"] == "d-1"
        assert not {"x-secret", "x-portcullis-subject", "x-portcullis-actor", "x-portcullis-effect"} & {
            name.lower() for name in answer.headers
        }
    assert not edge.seen


async def test_nothing_that_a_caller_says_about_itself_passes(edge: Rig) -> None:
    async with edge.http.get(edge.url("/accounts/1"), headers=SPOOFED) as answer:
        assert answer.status == 200
        assert answer.headers.getall("x-portcullis-decision") == ["d-1"]  # the upstream's own was replaced
        assert "x-portcullis-subject" not in answer.headers
    asked, seen = edge.gateway.asked[0]["headers"], edge.seen[0]["headers"]
    for headers in (asked, seen):
        assert headers["x-forwarded-for"] == "127.0.0.1"
        assert "x-forwarded-client-cert" not in headers
        assert "x-envoy-original-path" not in headers
        assert "x-portcullis-scopes" not in headers
    assert "x-portcullis-subject" not in asked
    assert seen["x-portcullis-subject"] == "person:alice"
    assert "x-envoy-upstream-rq-timeout-ms" not in seen


async def test_an_authorizer_that_is_gone_or_silent_means_503(edge: Rig) -> None:
    await edge.close_authz()
    async with edge.http.get(edge.url("/accounts/1")) as answer:
        assert answer.status == 503
    assert not edge.seen


async def test_an_authorizer_that_is_too_slow_means_503() -> None:
    async with rig(authorize_timeout_ms=20) as edge:
        edge.gateway.delay = 1.0
        async with edge.http.get(edge.url("/accounts/1")) as answer:
            assert answer.status == 503
        assert not edge.seen


async def test_an_authorizer_that_fails_means_a_refusal(edge: Rig) -> None:
    edge.gateway.answer = lambda request, body: (500, {}, b"")
    async with edge.http.get(edge.url("/accounts/1")) as answer:
        assert answer.status == 503
    assert not edge.seen


async def test_an_answer_for_no_route_or_another_is_no_permit(edge: Rig) -> None:
    async with edge.http.get(edge.url("/nothing")) as answer:
        assert answer.status == 403
    edge.gateway.answer = lambda request, body: (200, ALICE | {"x-portcullis-route": "another"}, b"")
    async with edge.http.get(edge.url("/accounts/1")) as answer:
        assert (answer.status, (await answer.json())["reasons"]) == (403, ["other_route"])
    assert not edge.seen


async def test_a_tunnel_leads_nowhere_whoever_allows_it(edge: Rig) -> None:
    assert await _raw(edge, b"CONNECT bank:443 HTTP/1.1\r\nhost: bank\r\n\r\n") in (403, 404)
    assert not edge.seen


@pytest.mark.parametrize("size", [0, 1, 199_999, 200_000])
async def test_a_body_route_shows_the_whole_body_and_passes_it_on(edge: Rig, size: int) -> None:
    body = b"x" * size
    async with edge.http.post(edge.url("/payments"), data=body) as answer:
        assert answer.status == 200
    assert edge.gateway.asked[0]["body"] == body == edge.seen[0]["body"]


async def test_a_body_longer_than_its_route_allows_is_413(edge: Rig) -> None:
    async with edge.http.post(edge.url("/payments"), data=b"x" * 200_001) as answer:
        assert answer.status == 413
    assert not edge.gateway.asked
    assert not edge.seen


async def test_other_routes_stream_the_body_past_the_gateway(edge: Rig) -> None:
    async with edge.http.post(edge.url("/accounts/1"), data=b"x" * 1_000_000) as answer:
        assert answer.status == 200
    assert edge.gateway.asked[0]["body"] == b""
    assert len(edge.seen[0]["body"]) == 1_000_000


@pytest.mark.parametrize("effect", ["allow", "deny"])
async def test_the_access_log_names_subject_and_actor_whatever_the_answer(edge: Rig, effect: str) -> None:
    if effect == "deny":
        edge.gateway.answer = deny
    async with edge.http.get(edge.url("/accounts/7")):
        pass
    await until(lambda: edge.gateway.log_of("/accounts/7") is not None, "the access log arrives")
    event = edge.gateway.log_of("/accounts/7")
    assert event is not None
    assert (event.subject, event.actor, event.session, event.outcome) == ("person:alice", "agent:bot", "d-1", effect)
    assert (event.action, event.status) == ("GET", 200 if effect == "allow" else 403)
    assert (event.service, event.address) == ("service/accounts", "127.0.0.1")
    assert abs(event.time - time.time()) < DEADLINE
    assert 0 < event.duration < DEADLINE
    assert event.bytes_out > 0


async def _raw(edge: Rig, request: bytes) -> int:
    """Status of one raw HTTP/1.1 request; 0 where Envoy just closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.config.edge.port)
    try:
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), 10)
    except ConnectionError:
        line = b""
    finally:
        writer.close()
    return int(line.split()[1]) if line else 0


@pytest.mark.parametrize(
    ("sent", "judged"),
    [
        ("/accounts/1", "/accounts/1"),
        ("/accounts//1", "/accounts/1"),
        ("/accounts/./1", "/accounts/1"),
        ("/x/../accounts/1", "/accounts/1"),
        ("/x/%2e%2E/accounts/1", "/accounts/1"),
        ("/../accounts/1", "/accounts/1"),
        ("/x\\..\\accounts\\1", "/accounts/1"),
        ("/accounts/%31", "/accounts/1"),
        ("/accounts/1?next=//x/../y", "/accounts/1?next=//x/../y"),
    ],
)
async def test_one_resource_has_one_path(edge: Rig, sent: str, judged: str) -> None:
    assert await _raw(edge, f"GET {sent} HTTP/1.1\r\nhost: bank\r\n\r\n".encode()) == 200
    assert edge.gateway.asked[0]["path"] == edge.seen[0]["path"] == judged


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /accounts%2f1 HTTP/1.1\r\nhost: bank\r\n\r\n",
        b"GET /accounts%5C1 HTTP/1.1\r\nhost: bank\r\n\r\n",
        b"GET /accounts/1 HTTP/1.1\r\nhost: bank\r\nx_portcullis_subject: root\r\n\r\n",
        b"GET /accounts/1 HTTP/1.1\r\n\r\n",
        b"GET /accounts/1#x HTTP/1.1\r\nhost: bank\r\n\r\n",
        b"GET /accounts/\x001 HTTP/1.1\r\nhost: bank\r\n\r\n",
        b"POST /accounts/1 HTTP/1.1\r\nhost: bank\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /accounts/1 HTTP/1.1\r\nhost: bank\r\nx-a: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"\xff\xfe\x00 junk\r\n\r\n",
    ],
)
async def test_what_can_be_read_in_two_ways_is_refused_before_anybody_is_asked(edge: Rig, request_bytes: bytes) -> None:
    status = await _raw(edge, request_bytes)
    assert status == 0 or 400 <= status < 500
    assert not edge.gateway.asked
    assert not edge.seen


async def test_a_200_that_is_not_the_gateways_own_word_is_no_permit(edge: Rig) -> None:
    edge.gateway.answer = lambda request, body: (200, {}, b"")
    async with edge.http.get(edge.url("/accounts/1"), headers={"x-portcullis-effect": "allow"}) as answer:
        assert answer.status == 503
    assert not edge.seen
