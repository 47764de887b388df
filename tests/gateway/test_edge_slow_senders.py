"""The token endpoint through the real edge: who sends slowly keeps nobody waiting, and not for long."""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bench.identities.callers import HOST
from gateway.edge import EXCHANGE_PATH
from tests.gateway.front import FORM, SERVER, Front, front

SLOW = 100  # more than the token service has places
SOON = 2.0  # seconds; it took the ten of a slow sender
LARGEST = 65_536  # bytes of a form
_HEAD = f"POST {EXCHANGE_PATH} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: {FORM}\r\ncontent-length: 500\r\n\r\n"


@pytest.fixture
async def edge() -> AsyncIterator[Front]:
    async with front() as running:
        yield running


@asynccontextmanager
async def slow_senders(edge: Front, sent: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections, each with the beginning of an exchange."""
    trust = ssl.create_default_context(cadata=SERVER.pem.decode())
    async with AsyncExitStack() as stack:
        opened = [await asyncio.open_connection("localhost", edge.port, ssl=trust) for _ in range(SLOW)]
        for _, writer in opened:
            stack.callback(writer.close)
            writer.write(sent)
            await writer.drain()
        yield [reader for reader, _ in opened]


async def exchanged(edge: Front) -> tuple[int, str, float]:
    """Status and error of a whole request that grants nothing, and the seconds that it took."""
    start = time.monotonic()
    status, told = await edge.exchange({"grant_type": "x"})
    return status, told["error"], time.monotonic() - start


async def test_slow_senders_keep_nobody_waiting_and_are_sent_away(edge: Front) -> None:
    assert (await exchanged(edge))[:2] == (400, "unsupported_grant_type")
    async with slow_senders(edge, _HEAD.encode() + b"grant") as readers:
        for _ in range(5):
            status, error, seconds = await exchanged(edge)
            assert (status, error) == (400, "unsupported_grant_type")
            assert seconds < SOON
        async with asyncio.timeout(20):
            lines = [await reader.readline() for reader in readers]
    told = {line.split()[1] for line in lines if line}  # where the end of a connection has not overtaken its answer
    assert told == {b"408"}
    assert (await exchanged(edge))[2] < SOON


async def test_a_crowd_of_whole_requests_leaves_places_free(edge: Front) -> None:
    for _ in range(3):
        crowd = await asyncio.gather(*(exchanged(edge) for _ in range(2 * SLOW)))
        assert {each[:2] for each in crowd} == {(400, "unsupported_grant_type")}
        assert (await exchanged(edge))[2] < SOON


@pytest.mark.parametrize(("more", "status"), [(0, 400), (1, 413)])
async def test_a_form_is_as_long_as_the_service_reads_and_no_longer(edge: Front, more: int, status: int) -> None:
    padding = secrets.token_hex(LARGEST)[: LARGEST - len("grant_type=x&a=") + more]
    async with edge.session.post(
        f"https://localhost:{edge.port}{EXCHANGE_PATH}",
        data=f"grant_type=x&a={padding}".encode(),
        headers={"host": HOST, "content-type": FORM},
    ) as answer:
        assert answer.status == status


async def test_other_routes_are_not_held_back(edge: Front) -> None:
    bearer = {"host": HOST, "authorization": f"Bearer {edge.issuer.token(sub='person:alice')}"}
    for path in ("/accounts/1001", "/streams/1001"):
        sent = edge.session.post(f"https://localhost:{edge.port}{path}", data=b"x" * 500_000, headers=bearer)
        async with sent as answer:
            assert answer.status == 200, path
