"""The demo's issuer says what RFC 9068 and RFC 8693 want said, under keys that rotate."""

from __future__ import annotations

from typing import Any

import aiohttp
import jwt
import pytest

from deploy.demo.cast import ALICE, BOB, INVOICE_BOT, LEDGER_BOT, TINA
from deploy.demo.tokens import Tokens


async def _keys(tokens: Tokens) -> jwt.PyJWKSet:
    async with aiohttp.ClientSession() as session:
        metadata = await (await session.get(f"{tokens._url}/.well-known/openid-configuration")).json()
        return jwt.PyJWKSet.from_dict(await (await session.get(metadata["jwks_uri"])).json())


async def _claims(tokens: Tokens, token: str) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "at+jwt"
    key = (await _keys(tokens))[header["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], audience="bank", issuer=tokens._url)
    return claims


async def test_person_has_an_access_token(tokens: Tokens) -> None:
    claims = await _claims(tokens, await tokens.person(TINA, acr="mfa"))
    assert (claims["sub"], claims["roles"], claims["acr"]) == (TINA, ["teller"], "mfa")
    assert {"iss", "exp", "iat", "jti", "client_id", "auth_time", "scope"} <= claims.keys()


async def test_agent_acts_for_its_person_within_a_limit(tokens: Tokens) -> None:
    claims = await _claims(tokens, await tokens.agent(INVOICE_BOT))
    assert (claims["sub"], claims["act"], claims["limit"]) == (ALICE, {"sub": INVOICE_BOT}, 200)


async def test_every_invoice_bot_is_one(tokens: Tokens) -> None:
    claims = await _claims(tokens, await tokens.agent(f"{INVOICE_BOT}-7"))
    assert claims["act"] == {"sub": f"{INVOICE_BOT}-7"}


async def test_agent_may_not_act_for_another(tokens: Tokens) -> None:
    actor = await tokens._grant(grant_type="client_credentials", client_id=LEDGER_BOT)
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    with pytest.raises(PermissionError, match="invalid_target"):
        await tokens._grant(grant_type=exchange, subject_token=await tokens.person(BOB), actor_token=actor)
    with pytest.raises(PermissionError, match="invalid_grant"):
        await tokens._grant(grant_type=exchange, subject_token="x.y.z", actor_token=actor)


async def test_nobody_without_the_secret_gets_a_token(tokens: Tokens) -> None:
    with pytest.raises(PermissionError, match="invalid_client"):
        await Tokens(tokens._url, "guessed").person(ALICE)


async def test_rotation_signs_with_a_published_key_and_keeps_the_last(tokens: Tokens) -> None:
    before = await tokens.person(ALICE)
    published = {key.key_id for key in (await _keys(tokens)).keys}
    kid = await tokens.rotate()
    assert kid in published
    after = await tokens.person(ALICE)
    assert jwt.get_unverified_header(after)["kid"] == kid != jwt.get_unverified_header(before)["kid"]
    assert (await _claims(tokens, before))["sub"] == (await _claims(tokens, after))["sub"] == ALICE
