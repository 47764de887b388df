"""Methods that nobody knows, over HTTP/2, which lets any word be one: the caller's fault, and never passed on."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httptools
import pytest

from bench.identities.callers import HOST
from gateway.enforcement.target import METHODS
from tests.gateway.front import SERVER, Front, front
from tests.gateway.http2 import ask

PATHS = ("/accounts/1001", "/streams/1001", "/.well-known/portcullis/token")
UNKNOWN = ("FOO", "A" * 200, "get", "PRI", "DESCRIBE", "GET_PARAMETER", "SETUP", "POSTGET", "-")


@pytest.fixture
async def edge() -> AsyncIterator[Front]:
    async with front() as running:
        yield running


async def sent(edge: Front, method: str, path: str, bearer: str) -> int:
    trust = ssl.create_default_context(cadata=SERVER.pem.decode())
    trust.set_alpn_protocols(["h2"])
    pseudo = [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)]
    shown = [("authorization", f"Bearer {bearer}")] if bearer else []
    return await ask(edge.port, [*pseudo, *shown], trust=trust)


@pytest.mark.parametrize("path", PATHS)
async def test_an_unknown_method_is_the_callers_fault(edge: Front, path: str) -> None:
    for bearer in (edge.issuer.token(sub="person:alice"), ""):
        for method in UNKNOWN:
            assert await sent(edge, method, path, bearer) in ({400} if bearer else {400, 401}), method
    assert not edge.upstream


async def test_after_unknown_methods_known_ones_pass(edge: Front) -> None:
    bearer = edge.issuer.token(sub="person:alice")
    for path in PATHS[:2]:
        for _ in range(20):
            assert await sent(edge, "FOO", path, bearer) == 400
            assert await sent(edge, "GET", path, bearer) == 200
    assert len(edge.upstream) == 40


class _Read:
    def __init__(self) -> None:
        self.complete = False

    def on_message_complete(self) -> None:
        self.complete = True


def test_the_parser_reads_every_known_method_and_no_other() -> None:
    def reads(method: str) -> bool:
        read = _Read()
        try:
            httptools.HttpRequestParser(read).feed_data(f"{method} / HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        except httptools.HttpParserError:
            return False
        return read.complete

    assert all(map(reads, METHODS))
    assert not any(map(reads, UNKNOWN))
