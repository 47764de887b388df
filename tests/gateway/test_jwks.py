"""JWKS: rotation, one fetch for a storm, and old keys kept when the issuer is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config import Identity, Issuer
from gateway.identity import Credentials, Identifier, JwksClient, Refusal, UnknownKey
from gateway.keys import Keys


class IssuerStub:
    """An issuer's JWKS endpoint that can rotate, lie and be away."""

    def __init__(self) -> None:
        self.keys = {"k1": ec.generate_private_key(ec.SECP256R1())}
        self.fetches = 0
        self.body: str | None = None
        self.status = 200

    async def jwks(self, request: web.Request) -> web.Response:
        self.fetches += 1
        entries = [
            json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": kid}
            for kid, key in self.keys.items()
        ]
        return web.Response(text=self.body or json.dumps({"keys": entries}), status=self.status)


@pytest.fixture
def stub() -> IssuerStub:
    return IssuerStub()


@pytest.fixture
async def issuer(stub: IssuerStub) -> AsyncIterator[Issuer]:
    app = web.Application()
    app.router.add_get("/jwks", stub.jwks)
    async with TestServer(app) as server:
        yield Issuer(issuer="i", jwks_url=str(server.make_url("/jwks")), audience="bank")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def test_a_storm_makes_one_fetch(stub: IssuerStub, issuer: Issuer, session: aiohttp.ClientSession) -> None:
    client = JwksClient(issuer, session)
    changed = await asyncio.gather(*(client.refresh() for _ in range(100)))
    assert stub.fetches == 1
    assert all(changed)
    assert "k1" in client.keys


async def test_rotation_is_seen(stub: IssuerStub, issuer: Issuer, session: aiohttp.ClientSession) -> None:
    now = 0.0
    client = JwksClient(issuer, session, pause=2.0, clock=lambda: now)
    await client.refresh()
    stub.keys = {"k2": ec.generate_private_key(ec.SECP256R1())}
    assert not await client.refresh()
    now = 2.0
    assert await client.refresh()
    assert "k2" in client.keys
    assert "k1" not in client.keys
    now = 4.0
    assert not await client.refresh()


async def test_a_key_replaced_under_its_own_id_is_a_change(
    stub: IssuerStub, issuer: Issuer, session: aiohttp.ClientSession
) -> None:
    client = JwksClient(issuer, session, pause=0.0)
    await client.refresh()
    stub.keys = {"k1": ec.generate_private_key(ec.SECP256R1())}
    assert await client.refresh()


@pytest.mark.parametrize(
    ("status", "body"), [(500, None), (200, "not json"), (200, "[]"), (200, "[" * 100_000), (200, "x" * 3_000_000)]
)
async def test_a_broken_issuer_keeps_its_known_keys(
    stub: IssuerStub, issuer: Issuer, session: aiohttp.ClientSession, status: int, body: str | None
) -> None:
    client = JwksClient(issuer, session, pause=0.0)
    await client.refresh()
    stub.status, stub.body = status, body
    assert not await client.refresh()
    assert "k1" in client.keys


async def test_fetched_keys_reach_the_identifier(
    stub: IssuerStub, issuer: Issuer, session: aiohttp.ClientSession
) -> None:
    settings = Identity(issuers=(issuer,))
    identifier = Identifier(settings)
    keys = Keys(settings, identifier, session)
    token = jwt.encode({"iss": "i"}, stub.keys["k1"], "ES256", {"typ": "at+jwt", "kid": "k1"})
    credentials = Credentials(f"Bearer {token}")
    assert identifier.identify(credentials, 0.0) == UnknownKey("i")
    await keys.fetch("i")
    assert isinstance(identifier.identify(credentials, 0.0), Refusal)
