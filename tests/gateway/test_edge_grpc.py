"""gRPC through a real Envoy: answers and cuts arrive as gRPC statuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.gateway.edge_rig import DEADLINE, Rig, deny, rig


@pytest.fixture
async def edge() -> AsyncIterator[Rig]:
    async with rig() as running:
        yield running


def _channel(edge: Rig) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{edge.config.edge.port}")


async def test_a_unary_call_is_judged_and_passes(edge: Rig) -> None:
    async with _channel(edge) as channel:
        answer = await channel.unary_unary("/bank.Ledger/Balance")(b"1001", timeout=DEADLINE)
    assert answer == b"balance 1001"
    asked = edge.gateway.asked[0]
    assert (asked["method"], asked["path"]) == ("POST", "/bank.Ledger/Balance")


async def test_a_refused_call_is_permission_denied(edge: Rig) -> None:
    edge.gateway.answer = deny
    async with _channel(edge) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/bank.Ledger/Balance")(b"1001", timeout=DEADLINE)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert dict(refused.value.initial_metadata() or ()).get("x-portcullis-decision") == "d-1" or (
        dict(refused.value.trailing_metadata() or ()).get("x-portcullis-decision") == "d-1"
    )


async def test_a_gateway_that_is_away_is_unavailable(edge: Rig) -> None:
    await edge.close_authz()
    async with _channel(edge) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/bank.Ledger/Balance")(b"1001", timeout=DEADLINE)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_stream_without_a_gateway_is_unavailable(edge: Rig) -> None:
    await edge.close_grpc()
    async with _channel(edge) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_stream("/bank.Ledger/Watch")(b"1001", timeout=DEADLINE).read()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_cut_ends_a_live_call_and_only_then(edge: Rig) -> None:
    async with _channel(edge) as channel:
        call = channel.unary_stream("/bank.Ledger/Watch")(b"1001")
        assert await call.read() == b"first"
        assert edge.gateway.tethers == 1
        edge.gateway.cut.set()
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await asyncio.wait_for(call.read(), DEADLINE)
    assert cut.value.code() in {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.PERMISSION_DENIED,
    }
