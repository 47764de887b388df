"""Tokens for tests: an issuer with three keys, whatever it or a stranger signs, and what verification makes of it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.config import Issuer
from gateway.identity import KeySet, Refusal, UnknownKey
from gateway.identity.access_token import Trust, verify
from gateway.identity.jws import read
from policy import Principal
from tests.gateway.issuer_rig import public

NOW = 1_800_000_000.0
ISSUER = "https://issuer.bank.example"
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED = ed25519.Ed25519PrivateKey.generate()

JWK: dict[str, Any] = {"RS256": jwt.algorithms.RSAAlgorithm, "EdDSA": jwt.algorithms.OKPAlgorithm}
KEYS = KeySet.parse(
    {
        "keys": [
            public("e", EC),
            json.loads(JWK["RS256"].to_jwk(RSA.public_key())) | {"kid": "r"},
            json.loads(JWK["EdDSA"].to_jwk(ED.public_key())) | {"kid": "d"},
        ]
    }
)


def b64(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def encoded(part: Any) -> str:
    return b64(part if isinstance(part, bytes) else json.dumps(part).encode())


def signed(claims: Any, key: Any = EC, alg: str = "ES256", **header: Any) -> str:
    """A token with this header and these claims, as they are, signed as `alg` says, whatever the header says."""
    fields = {"alg": alg, "typ": "at+jwt", "kid": "e"} | header
    message = encoded({name: value for name, value in fields.items() if value is not None}) + "." + encoded(claims)
    signature: bytes = jwt.get_algorithm_by_name(alg).sign(message.encode(), key)
    return f"{message}.{b64(signature)}"


def claims(**changes: Any) -> dict[str, Any]:
    base = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": "bank",
        "exp": NOW + 300,
        "iat": NOW - 1,
        "jti": "t1",
        "client_id": "web",
        "scope": "accounts:read payments:write",
    }
    return {name: value for name, value in (base | changes).items() if value is not None}


ANYBODY = ("person", "workload", "agent")


def trust(keys: KeySet = KEYS, audiences: tuple[str, ...] = ("bank",), **settings: Any) -> dict[str, Trust]:
    issuer = Issuer(
        **(
            {"issuer": ISSUER, "audience": "bank", "algorithms": ("ES256", "RS256", "EdDSA"), "vouches_for": ANYBODY}
            | settings
        )
    )
    return {issuer.issuer: Trust(issuer, keys, audiences)}


TRUST = trust()


def identified(
    token: str, trusted: dict[str, Trust] | None = None, now: float = NOW
) -> Principal | Refusal | UnknownKey:
    jws = read(token)
    if isinstance(jws, str):
        return Refusal("invalid_token", jws)
    return verify(jws, TRUST if trusted is None else trusted, 4, now)


def principal(token: str, trusted: dict[str, Trust] | None = None, now: float = NOW) -> Principal:
    answer = identified(token, trusted, now)
    assert isinstance(answer, Principal), answer
    return answer


def refused(token: str, trusted: dict[str, Trust] | None = None) -> str:
    answer = identified(token, trusted)
    assert isinstance(answer, Refusal), answer
    assert answer.status == 401
    return answer.detail
