"""Key directories of agents: which keys count and when, and what is fetched how often."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from structlog.testing import capture_logs

from gateway.config import HttpSignatures
from gateway.directories import Directories
from gateway.identity.signatures import Directory, DirectoryClient
from gateway.identity.signatures.directory import MEDIA_TYPE, WELL_KNOWN
from tests.http_signer import Agent

NOW = 1_800_000_000.0
ONE = Agent(ed25519.Ed25519PrivateKey.generate())
TWO = Agent(ec.generate_private_key(ec.SECP256R1()))


def document(*entries: Any) -> bytes:
    return json.dumps({"keys": entries}).encode()


def keyids(*entries: Any, now: float = NOW) -> set[str]:
    return set(Directory.parse(document(*entries)).at(now))


def test_keys_are_known_by_their_thumbprints_whatever_they_call_themselves() -> None:
    directory = Directory.parse(document(ONE.jwk | {"kid": TWO.keyid}, TWO.jwk | {"kid": "x"}))
    assert directory.at(NOW) == {
        ONE.keyid: Agent(ONE.private, kid=TWO.keyid).key,
        TWO.keyid: Agent(TWO.private, kid="x").key,
    }


@pytest.mark.parametrize(
    ("times", "valid"),
    [
        ({}, True),
        ({"nbf": NOW}, True),
        ({"nbf": NOW + 1}, False),
        ({"exp": NOW}, False),
        ({"exp": NOW + 1}, True),
        ({"exp": int(NOW) * 1000}, True),
        ({"exp": 10**400}, True),
        ({"exp": None}, False),
        ({"exp": str(NOW + 1)}, False),
        ({"nbf": False}, False),
        ({"nbf": [0]}, False),
    ],
)
def test_a_key_counts_in_its_time(times: dict[str, Any], valid: bool) -> None:
    assert keyids(ONE.jwk | times, TWO.jwk) == ({ONE.keyid, TWO.keyid} if valid else {TWO.keyid})


@pytest.mark.parametrize(
    "unfit",
    [
        None,
        1,
        "key",
        [],
        {},
        {"kty": "oct", "k": "AAAA"},
        ONE.jwk | {"d": "AAAA"},
        ONE.jwk | {"use": "enc"},
        ONE.jwk | {"x": "AAAA"},
        ONE.jwk | {"kty": ["OKP"]},
    ],
)
def test_what_is_no_key_is_skipped(unfit: Any) -> None:
    assert keyids(unfit, TWO.jwk) == {TWO.keyid}


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [], "keys": []}', b"\xff", b"[" * 100_000, document(*[1] * 257)],
)
def test_what_is_no_directory_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Directory.parse(text)


def test_a_directory_may_be_as_long_as_its_bound() -> None:
    assert keyids(*[1] * 255, ONE.jwk) == {ONE.keyid}


def test_a_directory_changes_with_its_keys_alone() -> None:
    one, two = Directory.parse(document(ONE.jwk)), Directory.parse(document(TWO.jwk))
    assert one == Directory.parse(document(ONE.jwk | {"name": "x"}, {}))
    assert one != two
    assert one != Directory.parse(document(ONE.jwk | {"exp": NOW}))


class Host:
    """An agent's host, that can rotate, lie and be away."""

    def __init__(self) -> None:
        self.body = document(ONE.jwk)
        self.status = 200
        self.media_type = MEDIA_TYPE
        self.headers: dict[str, str] = {}
        self.fetches = 0
        self.elsewhere = 0

    async def directory(self, request: web.Request) -> web.Response:
        self.fetches += 1
        headers = {"Content-Type": self.media_type, **self.headers}
        return web.Response(body=self.body, status=self.status, headers=headers)

    async def other(self, request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response(body=self.body, headers={"Content-Type": MEDIA_TYPE})


class Time:
    """A clock that stands."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def client(host: Host, clock: Time) -> AsyncIterator[DirectoryClient]:
    app = web.Application()
    app.router.add_get(WELL_KNOWN, host.directory)
    app.router.add_get("/elsewhere", host.other)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        origin = str(server.make_url("/")).removesuffix("/")
        yield DirectoryClient(origin, session, keep=60, clock=clock)


async def test_each_refresh_is_a_fetch_and_says_whether_keys_changed(host: Host, client: DirectoryClient) -> None:
    assert await client.refresh()
    assert set(client.keys(NOW)) == {ONE.keyid}
    assert not await client.refresh()  # the same keys
    assert host.fetches == 2


async def test_keys_rotate(host: Host, client: DirectoryClient, clock: Time) -> None:
    await client.refresh()
    host.body = document(TWO.jwk)
    clock.now += 3
    assert await client.refresh()
    assert set(client.keys(NOW)) == {TWO.keyid}


@pytest.mark.parametrize(
    "lie",
    [
        {"status": 404},
        {"status": 204},
        {"status": 302, "headers": {"Location": "/elsewhere"}},
        {"media_type": "application/json"},
        {"media_type": "text/html"},
        {"body": b"{}"},
        {"body": document(TWO.jwk).rjust((1 << 18) + 1)},
    ],
)
async def test_what_is_no_answer_changes_nothing(
    host: Host, client: DirectoryClient, clock: Time, lie: dict[str, Any]
) -> None:
    await client.refresh()
    host.body = document(TWO.jwk)
    for name, value in lie.items():
        setattr(host, name, value)
    clock.now += 3
    assert not await client.refresh()
    assert set(client.keys(NOW)) == {ONE.keyid}
    assert (host.fetches, host.elsewhere) == (2, 0)


async def test_an_answer_may_be_as_long_as_its_bound(host: Host, client: DirectoryClient) -> None:
    host.body = document(TWO.jwk).rjust(1 << 18)
    assert await client.refresh()
    assert set(client.keys(NOW)) == {TWO.keyid}


async def test_keys_of_a_host_that_is_away_count_until_their_bound(
    host: Host, client: DirectoryClient, clock: Time
) -> None:
    assert client.keys(NOW) == {}
    await client.refresh()
    host.status = 500
    clock.now += 59.9
    await client.refresh()
    assert set(client.keys(NOW)) == {ONE.keyid}
    clock.now = 160.0
    assert client.keys(NOW) == {}
    host.status = 200
    clock.now += 2
    await client.refresh()
    assert set(client.keys(NOW)) == {ONE.keyid}


async def test_a_host_that_does_not_listen_has_no_keys() -> None:
    async with aiohttp.ClientSession() as session:
        client = DirectoryClient("http://127.0.0.1:1", session, keep=60)
        assert not await client.refresh()
        assert client.keys(NOW) == {}


async def test_the_log_says_once_what_is_wrong_with_a_directory(host: Host, client: DirectoryClient) -> None:
    host.media_type = "application/json"
    with capture_logs() as lines:
        for _ in range(3):
            await client.refresh()
        assert client.failing
        host.media_type = MEDIA_TYPE
        for _ in range(2):
            await client.refresh()
    assert [line["event"] for line in lines] == [
        "key directory cannot be read, known keys count on",
        "key directory read again",
    ]
    assert lines[0]["error"] == f"{client.origin}{WELL_KNOWN}: Content-Type application/json, not {MEDIA_TYPE}"


class Sleeps:
    """Sleeps that a test ends, one after the other."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        over = asyncio.Event()
        self.begun.put_nowait((seconds, over))
        await over.wait()

    async def next(self) -> tuple[float, asyncio.Event]:
        return await asyncio.wait_for(self.begun.get(), 5.0)


@pytest.mark.parametrize(("keep", "period"), [(3600, 60.0), (100, 25.0)])
async def test_a_directory_that_is_away_at_the_start_is_asked_again_soon(
    host: Host, client: DirectoryClient, keep: int, period: float
) -> None:
    # Not validated: this directory has no TLS.
    settings = HttpSignatures.model_construct(directories=(client.origin,), keep_seconds=keep)
    sleeps, over = Sleeps(), asyncio.Event()
    async with aiohttp.ClientSession() as session:
        directories = Directories(settings, session, sleeps)
        keeping = asyncio.create_task(directories.keep())  # begins when we first wait
        try:
            for status, pause, known in ((503, 5.0, set()), (200, period, {ONE.keyid}), (503, 5.0, {ONE.keyid})):
                host.status = status
                over.set()
                seconds, over = await sleeps.next()
                assert (seconds, set(directories.at(NOW))) == (pause, known)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
