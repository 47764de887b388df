"""The tether, spoken to as Envoy speaks: two messages, and an end when it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc
from envoy.service.ext_proc.v3.external_processor_pb2 import HttpHeaders, ProcessingRequest

from gateway.enforcement import Answer, Attempt, serve_tether
from tests.gateway.parts import Bank


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
async def stub(bank: Bank, tmp_path: Path) -> AsyncIterator[Any]:
    path = tmp_path / "tether.sock"
    serving = asyncio.create_task(serve_tether(bank.judge, bank.sessions, bank.opened, path))
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        yield external_processor_pb2_grpc.ExternalProcessorStub(channel)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving


def start(token: str, path: str = "/streams/1001") -> ProcessingRequest:
    headers = {":method": "GET", ":path": path, ":authority": "bank", "x-forwarded-for": "10.0.0.5"}
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    values = [HeaderValue(key=name, raw_value=value.encode()) for name, value in headers.items()]
    return ProcessingRequest(request_headers=HttpHeaders(headers=HeaderMap(headers=values)))


async def opened(stub: Any, token: str, path: str = "/streams/1001") -> tuple[Any, Any]:
    call = stub.Process()
    await call.write(start(token, path))
    async with asyncio.timeout(5):
        return call, await call.read()


async def test_a_stream_lives_until_it_is_cut(bank: Bank, stub: Any) -> None:
    bank.pdp.put_data(("x",), 1)
    call, admitted = await opened(stub, bank.token())
    names = {option.header.key for option in admitted.request_headers.response.header_mutation.set_headers}
    assert names == {"x-portcullis-decision", "x-portcullis-subject", "x-portcullis-actor", "txn-token"}
    assert "authorization" in admitted.request_headers.response.header_mutation.remove_headers
    assert admitted.dynamic_metadata["envoy.filters.http.ext_proc"]["x-portcullis-effect"] == "allow"
    (session,) = bank.sessions
    assert session.request.stream
    assert bank.sessions.cut(bank.sessions.find("principal", "person:alice"), "blocked", "test") == 1
    async with asyncio.timeout(5):
        assert await call.code() == grpc.StatusCode.PERMISSION_DENIED
    assert (await call.details()).startswith("blocked c-")


async def test_a_bystander_is_not_touched(bank: Bank, stub: Any) -> None:
    alice, _ = await opened(stub, bank.token())
    bob, _ = await opened(stub, bank.token("person:bob"))
    bank.sessions.cut(bank.sessions.find("principal", "person:alice"), "blocked", "test")
    async with asyncio.timeout(5):
        await alice.code()
    assert not bob.done()
    assert [session.request.principal.id for session in bank.sessions] == ["person:bob"]
    bob.cancel()


@pytest.mark.parametrize(("path", "status"), [("/streams/2002", 403), ("/streams/%31", 400)])
async def test_a_refused_stream_has_a_proper_answer(bank: Bank, stub: Any, path: str, status: int) -> None:
    _, refused = await opened(stub, bank.token(), path)
    assert refused.immediate_response.status.code == status
    assert len(bank.sessions) == 0


async def test_a_stream_without_credentials_is_challenged(bank: Bank, stub: Any) -> None:
    _, refused = await opened(stub, "")
    assert refused.immediate_response.status.code == 401
    headers = {each.header.key: each.header.raw_value for each in refused.immediate_response.headers.set_headers}
    assert headers["www-authenticate"] == b'Bearer realm="portcullis"'


async def test_a_stream_that_ends_by_itself_is_forgotten(bank: Bank, stub: Any) -> None:
    call, _ = await opened(stub, bank.token())
    assert len(bank.sessions) == 1
    await call.done_writing()
    async with asyncio.timeout(5):
        assert await call.code() == grpc.StatusCode.OK
    assert len(bank.sessions) == 0


async def test_a_caller_that_vanishes_is_forgotten(bank: Bank, stub: Any) -> None:
    call, _ = await opened(stub, bank.token())
    call.cancel()
    async with asyncio.timeout(5):
        while len(bank.sessions):  # noqa: ASYNC110  # the end of a cancelled call is told to the server alone
            await asyncio.sleep(0.001)


async def test_when_the_gateway_goes_every_stream_ends(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "tether.sock"
    serving = asyncio.create_task(serve_tether(bank.judge, bank.sessions, bank.opened, path))
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        call, _ = await opened(external_processor_pb2_grpc.ExternalProcessorStub(channel), bank.token())
        serving.cancel()
        async with asyncio.timeout(5):
            assert await call.code() == grpc.StatusCode.UNAVAILABLE
    assert len(bank.sessions) == 0


@pytest.mark.parametrize("message", [ProcessingRequest(), ProcessingRequest(response_trailers={})])
async def test_what_is_no_request_ends_that_stream_alone(bank: Bank, stub: Any, message: ProcessingRequest) -> None:
    beside, _ = await opened(stub, bank.token())
    call = stub.Process()
    await call.write(message)
    async with asyncio.timeout(5):
        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert not beside.done()
    assert len(bank.sessions) == 1


async def test_the_trailers_of_a_live_stream_are_answered(bank: Bank, stub: Any) -> None:
    call, _ = await opened(stub, bank.token())
    await call.write(ProcessingRequest(response_trailers={}))
    async with asyncio.timeout(5):
        assert (await call.read()).WhichOneof("response") == "response_trailers"
    assert len(bank.sessions) == 1


async def test_a_stream_that_is_left_while_an_issuer_is_asked_is_never_held(bank: Bank, stub: Any) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def ask(attempt: Attempt) -> Answer:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            answered.set()
        raise AssertionError

    bank.judge.ask = ask  # type: ignore[method-assign]
    call = stub.Process()
    await call.write(start(bank.token()))
    async with asyncio.timeout(5):
        await asked.wait()
        call.cancel()
        await answered.wait()
    assert len(bank.sessions) == 0
