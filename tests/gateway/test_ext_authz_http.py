"""ext_authz over HTTP, through its socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from gateway.config import Transactions
from gateway.enforcement import serve_http
from tests.gateway.parts import Bank
from verifier import read_keys, verify


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
async def socket(bank: Bank, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "authz.sock"
    serving = asyncio.create_task(serve_http(bank.judge, path))
    async with asyncio.timeout(5):
        while not path.exists():  # noqa: ASYNC110  # bound by the loop's next turns, before anything is awaited
            await asyncio.sleep(0)
    yield path
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
async def client(socket: Path) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(socket))
    async with aiohttp.ClientSession("http://authz", connector=connector) as session:
        yield session


def asking(bank: Bank, **extra: str) -> dict[str, str]:
    return {"host": "bank", "authorization": f"Bearer {bank.token()}", "x-forwarded-for": "10.0.0.5", **extra}


async def test_an_allowed_request(bank: Bank, client: aiohttp.ClientSession) -> None:
    async with client.get("/accounts/1001", headers=asking(bank)) as answer:
        assert answer.status == 200
        assert answer.headers["x-portcullis-subject"] == "person:alice"
        assert answer.headers["x-portcullis-effect"] == "allow"
        removed = answer.headers["x-envoy-auth-headers-to-remove"].split(",")
        assert {"authorization", "dpop", "signature", "x-forwarded-client-cert"} <= set(removed)
        assert answer.headers["x-portcullis-decision"] == bank.seen[0][1].id


async def test_the_upstream_learns_who_asks_from_a_transaction_token(bank: Bank, client: aiohttp.ClientSession) -> None:
    async with client.get("/accounts/1001", headers=asking(bank)) as answer:
        token = answer.headers["txn-token"]
    found = verify(token, read_keys(bank.ring.jwks()), issuer=Transactions().issuer, audience="bank")
    assert (found.subject, found.id) == ("person:alice", "txn")


async def test_a_refused_request_says_why_to_the_caller(bank: Bank, client: aiohttp.ClientSession) -> None:
    async with client.get("/accounts/7", headers=asking(bank)) as answer:
        assert answer.status == 403
        told = await answer.json()
        assert told["reasons"] == ["not_yours"]
        assert told["decision"] == answer.headers["x-portcullis-decision"]


async def test_no_credentials(client: aiohttp.ClientSession) -> None:
    async with client.get("/accounts/7") as answer:
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="portcullis"'


async def test_two_authorization_headers_are_refused(bank: Bank, client: aiohttp.ClientSession) -> None:
    headers = [("authorization", f"Bearer {bank.token()}"), ("authorization", f"Bearer {bank.token()}")]
    async with client.get("/accounts/1001", headers=headers) as answer:
        assert answer.status == 400


async def test_the_body_reaches_policy(bank: Bank, client: aiohttp.ClientSession) -> None:
    async with client.post("/pay", headers=asking(bank), json={"amount": 5}) as answer:
        assert answer.status == 200
    async with client.post("/pay", headers=asking(bank), json={"amount": 500}) as answer:
        assert answer.status == 403


async def test_a_request_to_a_grpc_service_is_a_call(bank: Bank, client: aiohttp.ClientSession) -> None:
    async with client.post("/bank.Ledger/Balance", headers=asking(bank)) as answer:
        assert answer.status == 200
    assert bank.seen[0][0].action == "CALL"


async def test_a_refusal_to_head_has_no_body(bank: Bank, client: aiohttp.ClientSession) -> None:
    for _ in range(3):
        async with client.head("/accounts/7", headers=asking(bank)) as answer:
            assert answer.status == 403


async def test_a_caller_that_gives_up_leaves_nothing_waiting(bank: Bank, socket: Path) -> None:
    asked, given_up = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    bank.judge._ask = slow
    _, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(f"GET / HTTP/1.1\r\nauthorization: Bearer {bank.token()}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        await asked.wait()
        writer.close()
        await given_up.wait()


async def test_one_connection_carries_many(bank: Bank, client: aiohttp.ClientSession) -> None:
    for _ in range(3):
        async with client.get("/accounts/1001", headers=asking(bank)) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00\x01\x02",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"FOO / HTTP/1.1\r\nhost: bank\r\n\r\n",
        b"get / HTTP/1.1\r\nhost: bank\r\n\r\n",
    ],
)
async def test_what_cannot_be_read_is_refused_and_closed(socket: Path, junk: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(junk)
    async with asyncio.timeout(5):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert {b"x-portcullis-effect: deny", b"connection: close"} <= set(head.split(b"\r\n"))
    assert json.loads(body)["reasons"] == ["unreadable"]
    writer.close()


async def test_a_tunnel_is_refused_and_closed(bank: Bank, socket: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(f"CONNECT bank:1 HTTP/1.1\r\nauthorization: Bearer {bank.token()}\r\n\r\nGET / HTTP/1.1".encode())
    async with asyncio.timeout(5):
        assert b" 200 " not in await reader.read()
    writer.close()


@pytest.mark.parametrize("line", [b"x-a: " + b"x" * 2_000_000, b"\r\n".join(b"x-%d: x" % n for n in range(200_000))])
async def test_a_huge_head_is_closed(socket: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n")
    async with asyncio.timeout(5):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_a_huge_body_is_closed(socket: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(b"POST /pay HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 2_000_000)
    async with asyncio.timeout(5):
        with suppress(ConnectionError):  # it may be closed while we still write
            assert await reader.read() == b""
    writer.close()
