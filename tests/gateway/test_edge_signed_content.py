"""Content of signed requests through the real edge: nobody can add some that the agent did not sign."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from bench.identities.callers import HOST
from tests.gateway.front import SERVER, Front, front, request
from tests.gateway.http2 import ask

WHOLE = ('"@method"', '"@authority"', '"@path"', '"content-digest"')
NONE: tuple[tuple[bytes, ...], ...] = ((), (b"",), (b"", b""))  # DATA frames
SOME: tuple[tuple[bytes, ...], ...] = ((b"x",), (b"x", b"yz"), (b"", b"x"), (b"x", b""), (b"x" * 500, b"y" * 500))


@pytest.fixture
async def edge() -> AsyncIterator[Front]:
    async with front() as running:
        yield running


async def sent(edge: Front, method: str, path: str, shown: dict[str, str], *data: bytes) -> int:
    """The status of a request over HTTP/2, with no header that says whether it has content."""
    trust = ssl.create_default_context(cadata=SERVER.pem.decode())
    trust.set_alpn_protocols(["h2"])
    pseudo = [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)]
    return await ask(edge.port, [*pseudo, *shown.items()], *data, trust=trust)


@pytest.mark.parametrize("path", ["/accounts/1001", "/payments", "/streams/1001"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "HEAD", "POST"])
async def test_content_that_nobody_signed_never_passes(edge: Front, method: str, path: str) -> None:
    for data in SOME:
        assert await sent(edge, method, path, edge.signed(request(path, method=method)), *data) == 401, data
    assert not edge.upstream
    for data in NONE if path != "/streams/1001" else NONE[:1]:
        assert await sent(edge, method, path, edge.signed(request(path, method=method)), *data) == 200, data
    assert not any(edge.bodies)


@pytest.mark.parametrize(
    "framing", ["content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("path", ["/accounts/1001", "/streams/1001"])
async def test_nor_does_it_over_http_1(edge: Front, path: str, framing: str) -> None:
    shown = "".join(f"{name}: {value}\r\n" for name, value in edge.signed(request(path)).items())
    trust = ssl.create_default_context(cadata=SERVER.pem.decode())
    reader, writer = await asyncio.open_connection("localhost", edge.port, ssl=trust)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n{shown}{framing}".encode())
    async with asyncio.timeout(10):
        assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    assert not edge.upstream


async def test_a_websocket_is_not_opened_by_a_signature(edge: Front) -> None:
    upgrade = {"upgrade": "websocket", "connection": "upgrade"}
    assert (await edge.get("/streams/1001", edge.signed(request("/streams/1001")) | upgrade))[0] == 401
    assert not edge.upstream


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_content_that_is_signed_passes_where_the_gateway_can_compare_it(edge: Front, method: str) -> None:
    body = b'{"amount": 5}'
    digest = f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"

    def signed(path: str) -> dict[str, str]:
        asked = request(path, method=method, headers=(("content-digest", digest),))
        return edge.signed(asked, *WHOLE) | {"content-digest": digest}

    assert await sent(edge, method, "/payments", signed("/payments"), body) == 200
    assert edge.bodies == [body]
    assert await sent(edge, method, "/payments", signed("/payments"), body, b" ") == 401
    assert await sent(edge, method, "/payments", signed("/payments"), body[:-1]) == 401
    assert await sent(edge, method, "/payments", signed("/payments")) == 401
    assert await sent(edge, method, "/accounts/1001", signed("/accounts/1001"), body) == 401
    assert edge.bodies == [body]


async def test_who_shows_a_token_sends_whatever_content(edge: Front) -> None:
    bearer = {"authorization": f"Bearer {edge.issuer.token(sub='person:alice')}"}
    bodies = [b"", b"x", b'{"amount": 5}', b"\xff\x00" * 300_000]
    for path in ("/accounts/1001", "/streams/1001"):
        for body in bodies:
            url, shown = f"https://localhost:{edge.port}{path}", {"host": HOST, **bearer}
            async with edge.session.post(url, data=body, headers=shown) as answer:
                assert answer.status == 200, (path, len(body))
    assert edge.bodies == bodies * 2
    assert not [name for headers in edge.upstream for name in headers if name.lower().startswith("x-envoy")]
