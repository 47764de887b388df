"""What `bench cut` is made of: callers and an upstream that speak gRPC, and the whole of it with few streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from bench.cut import measure
from bench.result import CannotRun
from bench.streams.caller import PATH, Caller
from bench.streams.upstream import FIRST, held_upstream

DEADLINE = 20.0  # seconds


class _Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Someone else's gRPC server: one message, and then it ends the call when it is told to."""

    def __init__(self) -> None:
        self.cut, self.tokens = asyncio.Event(), list[str]()

    def service(self, call: Any) -> Any:
        self.tokens.append(dict(call.invocation_metadata)["authorization"])
        return grpc.unary_stream_rpc_method_handler(self._watch) if call.method == PATH else None

    async def _watch(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await self.cut.wait()
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "cut")


@pytest.fixture
async def service() -> AsyncIterator[tuple[_Service, int]]:
    handler = _Service()
    server = grpc.aio.server(handlers=(handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield handler, port
    await server.stop(None)


async def test_a_caller_sees_each_stream_begin_and_end(service: tuple[_Service, int]) -> None:
    handler, port = service
    caller = await Caller.connect(port, "person:alice", "t" * 500)
    before = asyncio.get_running_loop().time()
    await caller.open(3)
    assert (len(caller.live), caller.ends, handler.tokens) == (3, [], ["Bearer " + "t" * 500] * 3)
    handler.cut.set()
    await caller.ended()
    assert len(caller.ends) == 3
    assert all(end > before for end in caller.ends)
    caller.close()


async def test_a_caller_that_is_refused_says_so(service: tuple[_Service, int]) -> None:
    handler, port = service
    handler.service = lambda call: None  # type: ignore[method-assign]
    caller = await Caller.connect(port, "person:alice", "t")
    with pytest.raises(CannotRun, match="2 of 2"):
        await caller.open(2)
    caller.close()


async def test_the_upstream_speaks_grpc_and_holds() -> None:
    async with held_upstream() as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream(PATH)(b"asked")
        assert await asyncio.wait_for(call.read(), DEADLINE) == FIRST
        assert not call.done()
        call.cancel()


@pytest.mark.system
async def test_few_streams_are_cut_and_nobody_else_is_touched() -> None:
    result = await measure(rounds=1, streams=50, cuts=3)
    figures = result.figures
    assert figures["disturbed"] == 0
    assert 0 < figures["cut_p50_ms"] <= figures["cut_p99_ms"] <= figures["cut_max_ms"] < figures["check_p99_ms"]
    assert figures["cut_all_ms"] > 0
    assert figures["drain_disturbed"] == 40  # everybody else
    assert figures["check_p50_ms"] > 1000
    assert figures["drain_p50_ms"] > 900
    assert result.ratios["periodic_check_p50"] > 10
