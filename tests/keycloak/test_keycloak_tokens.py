"""A real Keycloak's people and their tokens, from its metadata to a principal."""

from __future__ import annotations

import asyncio
import hashlib
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from pydantic import SecretStr

from gateway.agents import Registry
from gateway.config import ClaimNames, Config, Dpop, Identity, Introspection, Issuer, Route, Service
from gateway.identification import Identification
from gateway.identity import Credentials, Message, Opaque, Refusal, UnknownKey
from policy import Principal
from tests.keycloak.conftest import Realm
from tests.keycloak.server import AUDIENCE, SECRET

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATH = "/accounts/1001"


@dataclass
class Door:
    """Identification as the gateway does it: what is missing is asked for, and the question asked again."""

    identification: Identification

    async def identify(self, token: str, scheme: str = "Bearer", **proof: Any) -> Principal | Refusal:
        """Who shows this token now."""
        identifier, shown = self.identification.identifier, Credentials(f"{scheme} {token}", **proof)
        answer = identifier.identify(shown, time.time())
        if isinstance(answer, (UnknownKey, Opaque)):
            await self.identification.ask(answer)
            answer = identifier.identify(shown, time.time())
        return answer.otherwise if isinstance(answer, (UnknownKey, Opaque)) else answer


@asynccontextmanager
async def door(realm: Realm, subject: str = "sub", **changes: Any) -> AsyncIterator[Door]:
    """A gateway's door that trusts the realm, which it knows by its issuer URL alone."""
    claims = ClaimNames(subject=subject, roles="realm_access.roles")
    issuer = Issuer(issuer=realm.issuer, audience=AUDIENCE, claims=claims, **changes)
    config = Config(
        services={"bank": Service(address="127.0.0.1", port=1)},
        routes=(Route(prefix="/", service="bank"),),
        identity=Identity(issuers=(issuer,), authorities=("bank.example",), dpop=Dpop()),
    )
    async with aiohttp.ClientSession() as session:
        yield Door(Identification(config, Registry(), session))


async def test_a_login_and_a_refresh_name_the_same_person(realm: Realm) -> None:
    async with door(realm) as bank:
        tokens = await realm.browse()
        alice = await bank.identify(tokens["access_token"])
        assert isinstance(alice, Principal)
        assert alice.authenticated > time.time() - 60
        assert (alice.kind, alice.issuer, alice.audience) == ("person", realm.issuer, (AUDIENCE,))
        assert alice.roles == ("teller",)
        renewed = await realm.refresh(tokens["refresh_token"])
        again = await bank.identify(renewed["access_token"])
        assert isinstance(again, Principal)
        assert again.id == alice.id
        assert again.token != alice.token


async def test_an_id_token_and_a_refresh_token_are_no_access_tokens(realm: Realm) -> None:
    async with door(realm, token_types=("at+jwt", "JWT")) as bank:
        tokens = await realm.login()
        assert isinstance(await bank.identify(tokens["access_token"]), Principal)
        assert isinstance(await bank.identify(tokens["id_token"]), Refusal)
        assert isinstance(await bank.identify(tokens["refresh_token"]), Refusal)


async def test_keys_rotate_under_load_and_no_good_token_is_refused(realm: Realm) -> None:
    refused: list[Any] = []
    rotated, over = asyncio.Event(), asyncio.Event()
    signed_by = set[str]()

    async def caller(bank: Door) -> None:
        while not over.is_set():
            token = (await realm.login())["access_token"]
            signed_by.add(jwt.get_unverified_header(token)["kid"])
            answers = await asyncio.gather(*(bank.identify(token) for _ in range(20)))
            refused.extend(answer for answer in answers if not isinstance(answer, Principal))
            rotated.set()

    async with door(realm) as bank, asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(caller(bank))
        for priority in (200, 300, 400):
            known = len(signed_by)
            await realm.rotate(priority)
            while len(signed_by) == known:
                rotated.clear()
                await rotated.wait()
        over.set()
    assert refused == []
    assert len(signed_by) >= 3


async def test_a_token_that_says_too_little_is_asked_about(realm: Realm) -> None:
    introspection = Introspection(client_id="gateway", client_secret=SecretStr(SECRET), jwts=True)
    async with door(realm) as bank:
        token = (await realm.login("lightweight"))["access_token"]
        assert isinstance(await bank.identify(token), Refusal)
    async with door(realm, "username", introspection=introspection) as bank:
        alice = await bank.identify(token)
        assert isinstance(alice, Principal)
        assert alice.id == "person:alice"
        assert alice.roles == ("teller",)
        assert isinstance(await bank.identify("opaque-and-invented"), Refusal)


async def test_a_bound_token_is_worth_nothing_without_its_key(realm: Realm) -> None:
    key, thief = _key(), _key()
    url = f"{realm.issuer}/protocol/openid-connect/token"
    tokens = await realm.login("wallet", dpop=_proof(key, "POST", url))
    token = tokens["access_token"]
    assert tokens["token_type"] == "DPoP"
    async with door(realm) as bank:
        early = _proof(key, "GET", f"https://bank.example{PATH}", token, iat=int(time.time()) - 1)
        asked = await bank.identify(token, "DPoP", dpop=early, request=_request())
        assert _refused(asked) == "use_dpop_nonce"  # made before this gateway began: it may have been seen
        nonce = bank.identification.identifier.nonce(time.time())
        shown = _proof(key, "GET", f"https://bank.example{PATH}", token, nonce=nonce)
        alice = await bank.identify(token, "DPoP", dpop=shown, request=_request())
        assert isinstance(alice, Principal)
        assert "dpop" in alice.proof
        assert _refused(await bank.identify(token, "DPoP", dpop=shown, request=_request())) == "invalid_dpop_proof"
        stolen = _proof(thief, "GET", f"https://bank.example{PATH}", token, nonce=nonce)
        assert _refused(await bank.identify(token, "DPoP", dpop=stolen, request=_request())) == "invalid_token"
        assert _refused(await bank.identify(token, "DPoP")) == "invalid_dpop_proof"
        assert _refused(await bank.identify(token)) == "invalid_token"


async def test_a_realm_that_is_deleted_vouches_for_nobody(realm: Realm) -> None:
    token = (await realm.login())["access_token"]
    async with door(realm) as bank:
        assert isinstance(await bank.identify(token), Principal)
    await realm.server.admin("DELETE", f"/{realm.name}")
    async with door(realm) as bank:
        answer = await bank.identify(token)
        assert isinstance(answer, Refusal)
        assert "unreachable" in answer.detail


def _refused(answer: Principal | Refusal) -> str:
    assert isinstance(answer, Refusal)
    return answer.error


def _request() -> Message:
    return Message(method="GET", scheme="https", authority="bank.example", path=PATH)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _proof(key: ec.EllipticCurvePrivateKey, method: str, url: str, token: str = "", **more: Any) -> str:
    claims: dict[str, Any] = {"jti": str(uuid4()), "htm": method, "htu": url, "iat": int(time.time())} | more
    if token:
        claims["ath"] = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return jwt.encode(claims, key, "ES256", {"typ": "dpop+jwt", "jwk": public})
