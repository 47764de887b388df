"""Live streams through a real Envoy: tethered while they live, reset when the tether breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.gateway.edge_rig import DEADLINE, Rig, rig, until


@pytest.fixture
async def edge() -> AsyncIterator[Rig]:
    async with rig() as running:
        yield running


async def test_a_stream_is_judged_by_the_tether_alone_and_carries_its_identity(edge: Rig) -> None:
    headers = {"authorization": "Bearer t", "x-portcullis-subject": "person:root", "x-forwarded-for": "10.0.0.1"}
    async with edge.http.get(edge.url("/streams/1"), headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["x-portcullis-decision"] == "d-1"
        assert await answer.content.readline() == b"data: 1\n"
        assert edge.gateway.tethers == 1
    assert not edge.gateway.asked
    (told,), seen = edge.gateway.tether_headers, edge.seen[0]["headers"]
    assert (told[":method"], told[":path"], told["authorization"]) == ("GET", "/streams/1", "Bearer t")
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert "x-portcullis-subject" not in told
    assert seen["x-portcullis-subject"] == "person:alice"
    assert "authorization" not in seen


async def test_breaking_the_tether_resets_a_silent_stream(edge: Rig) -> None:
    async with edge.http.get(edge.url("/streams/1")) as answer:
        await answer.content.readline()
        start = time.monotonic()
        edge.gateway.cut.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(answer.content.read(), DEADLINE)
    assert time.monotonic() - start < 0.9  # not Envoy's delayed close of a second


async def test_a_gateway_that_dies_takes_the_streams_with_it(edge: Rig) -> None:
    async with edge.http.get(edge.url("/streams/1")) as answer:
        await answer.content.readline()
        await edge.close_grpc()
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(answer.content.read(), DEADLINE)
    async with edge.http.get(edge.url("/streams/1")) as refused:
        assert refused.status == 503
    assert len(edge.seen) == 1


async def test_a_stream_that_ends_or_is_left_lets_go_of_the_tether(edge: Rig) -> None:
    async with edge.http.get(edge.url("/streams/finite")) as answer:
        assert await answer.read() == b"data: 1\n\n"
    await until(lambda: edge.gateway.tethers == 0, "the tether of a finished stream ends")
    async with edge.http.get(edge.url("/streams/1")) as answer:
        await answer.content.readline()
        assert edge.gateway.tethers == 1
    await until(lambda: edge.gateway.tethers == 0, "the tether of an abandoned stream ends")


async def test_a_refused_stream_never_reaches_upstream_and_is_logged_by_name(edge: Rig) -> None:
    edge.gateway.refuse_tether = True
    async with edge.http.get(edge.url("/streams/9")) as answer:
        assert answer.status == 403
        assert answer.headers["x-portcullis-decision"] == "d-1"
    assert not edge.seen
    await until(lambda: edge.gateway.log_of("/streams/9") is not None, "the access log arrives")
    event = edge.gateway.log_of("/streams/9")
    assert event is not None
    assert (event.subject, event.outcome) == ("person:alice", "deny")


async def test_a_websocket_is_a_stream_and_only_there(edge: Rig) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await edge.http.ws_connect(edge.url("/accounts/socket"))
    assert refused.value.status == 403
    async with edge.http.ws_connect(edge.url("/streams/socket")) as live:
        assert await live.receive_str() == "open"
        assert edge.gateway.tethers == 1
        edge.gateway.cut.set()
        message = await asyncio.wait_for(live.receive(), DEADLINE)
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
