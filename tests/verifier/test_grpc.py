"""The interceptors on real grpcio servers: every kind of call, with and without a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.verifier.rig import GATEWAY, OTHER, SERVICE, fresh, key_file
from verifier import Jwks
from verifier.grpc_interceptor import AioTransactionInterceptor, TransactionInterceptor, current

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
BAD = [
    ((), "0 txn-token entries"),
    ((("txn-token", "nonsense"),), "not a transaction token"),
    ((("txn-token", fresh(key=OTHER)),), "not signed by the gateway"),
    ((("txn-token", fresh(aud="accounts")),), "meant for 'accounts'"),
    ((("txn-token", fresh(iat=1_000_000_000, exp=1_000_000_015)),), "its life was over"),
    ((("txn-token", fresh()), ("txn-token", fresh())), "2 txn-token entries"),
]


def who(_: Any = None) -> bytes:
    return f"{current().subject} {current().actor}".encode()


class Sync:
    """Answers with who asks, twice where it streams."""

    def unary_unary(self, request: bytes, context: Any) -> bytes:
        return who()

    def unary_stream(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield who()
        yield who()

    def stream_unary(self, requests: Iterator[bytes], context: Any) -> bytes:
        return b"".join(map(who, requests))

    def stream_stream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        yield from map(who, requests)


class Async:
    """The same, for the aio server."""

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        return who()

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield who()
        yield who()

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"".join([who() async for _ in requests])

    async def stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        async for _ in requests:
            await context.write(who())


def handlers(service: Any) -> Any:
    made = {kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(service, kind)) for kind in KINDS}
    return grpc.method_handlers_generic_handler("bank.Who", made)


def settings(folder: Path) -> dict[str, Any]:
    return {"keys": Jwks(key_file(folder)), "issuer": GATEWAY, "audience": SERVICE}


def call(port: int, kind: str, metadata: Any, method: str = "") -> list[bytes]:
    """The answers to one request, or to two where they stream."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = getattr(channel, kind)(f"/bank.Who/{method or kind}")
        sent = iter((b"1", b"2")) if kind.startswith("stream") else b"1"
        answer = stub(sent, metadata=metadata, timeout=20)
        return list(answer) if kind.endswith("stream") else [answer]


@pytest.fixture
def sync_port(tmp_path: Path) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[TransactionInterceptor(**settings(tmp_path))])
    server.add_generic_rpc_handlers((handlers(Sync()),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


def expected(kind: str) -> bytes:
    return b"person:alice agent:invoice-bot" * (1 if kind == "unary_unary" else 2)


@pytest.mark.parametrize("kind", KINDS)
def test_handlers_find_the_transaction(sync_port: int, kind: str) -> None:
    assert b"".join(call(sync_port, kind, (("txn-token", fresh()),))) == expected(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("metadata", "why"), BAD)
def test_calls_without_one_are_refused(sync_port: int, kind: str, metadata: Any, why: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call(sync_port, kind, metadata)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert why in refused.value.details()


def test_a_thread_keeps_nothing_of_a_call(sync_port: int) -> None:
    for subject in ("person:alice", "person:bob", "person:carol", "person:dan"):
        assert call(sync_port, "unary_unary", (("txn-token", fresh(sub=subject, tctx={})),)) == [
            f"{subject} {subject}".encode()
        ]
    with pytest.raises(LookupError):
        current()


def test_a_method_that_is_not_there_stays_unimplemented(sync_port: int) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call(sync_port, "unary_unary", (("txn-token", fresh()),), "absent")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def aio_server(folder: Path, service: Any) -> tuple[Any, int]:
    server = grpc.aio.server(interceptors=[AioTransactionInterceptor(**settings(folder))])
    server.add_generic_rpc_handlers((handlers(service),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def test_aio_handlers_find_the_transaction_and_calls_without_one_are_refused(tmp_path: Path) -> None:
    server, port = await aio_server(tmp_path, Async())
    try:
        for kind in KINDS:
            assert b"".join(await asyncio.to_thread(call, port, kind, (("txn-token", fresh()),))) == expected(kind)
            for metadata, why in BAD:
                with pytest.raises(grpc.RpcError) as refused:
                    await asyncio.to_thread(call, port, kind, metadata)
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
                assert why in refused.value.details()
    finally:
        await server.stop(None)


async def test_an_aio_server_does_not_serve_handlers_that_block(tmp_path: Path) -> None:
    server, port = await aio_server(tmp_path, Sync())
    try:
        with pytest.raises(grpc.RpcError):
            await asyncio.to_thread(call, port, "unary_unary", (("txn-token", fresh()),))
    finally:
        await server.stop(None)
