"""JWT access tokens (RFC 9068): which keys and algorithms may speak, and what a valid token says."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Any

import jwt
import msgspec

from gateway.config import Issuer
from gateway.identity.delegation import actors_of, kind_of, principal_id
from gateway.identity.jwks import KeySet
from gateway.identity.refusal import Refusal
from policy import Principal, decode_json

LONGEST = 16_384  # characters; a longer token is refused before anything is parsed
_TYPES = {"at+jwt", "application/at+jwt"}  # RFC 9068 section 2.1
_FOREIGN_KEYS = ("jku", "jwk", "x5u", "x5c", "crit")  # a token does not say which key to trust, nor extend JWS
_FARTHEST = 86_400.0  # seconds a token may live beyond now


class Claims(msgspec.Struct):
    """The claims that RFC 9068 section 2.2 requires, and those that we read."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    jti: str
    client_id: str
    nbf: float = 0.0
    scope: str = ""
    acr: str = ""
    auth_time: float = 0.0
    roles: list[str] = []
    act: dict[str, Any] | None = None
    cnf: dict[str, Any] | None = None


class Header(msgspec.Struct):
    """The protected header's fields that decide how to verify."""

    alg: str
    typ: str = ""
    kid: str = ""


_CLAIMS = msgspec.json.Decoder(Claims)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_RESERVED = frozenset(Claims.__struct_fields__)
_JWS = jwt.PyJWS()


def peek(token: str) -> tuple[Header, str] | Refusal:
    """Header and issuer of an unverified token, to find the key; nothing else of it may be used."""
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3:
        return Refusal("invalid_token", "not a compact JWS within the size limit")
    try:
        fields = _OBJECT.decode(_unpadded(parts[0]))
        header = msgspec.convert(fields, Header)
        issuer = _OBJECT.decode(_unpadded(parts[1])).get("iss")
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError, RecursionError) as error:
        return Refusal("invalid_token", f"not a JWT: {error}")
    if foreign := [name for name in _FOREIGN_KEYS if name in fields]:
        return Refusal("invalid_token", f"header {foreign[0]} is not accepted")
    return (header, issuer) if isinstance(issuer, str) else Refusal("invalid_token", "no issuer")


def verify(
    token: str, header: Header, keys: KeySet, issuer: Issuer, longest_chain: int, now: float
) -> Principal | Refusal:
    """Verify signature and claims at `now` (Unix seconds). The key for `header.kid` must be in `keys`."""
    if header.typ.lower() not in _TYPES:
        return Refusal("invalid_token", f"typ {header.typ!r} is not an access token's")
    if header.alg not in issuer.algorithms:
        return Refusal("invalid_token", f"alg {header.alg!r} is not pinned for the issuer")
    payload = _signed_payload(token, header, keys)
    if isinstance(payload, Refusal):
        return payload
    try:
        claims, extra = _CLAIMS.decode(payload), decode_json(payload)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Refusal("invalid_token", f"claims: {error}")
    wrong = _wrong(claims, issuer, now)
    return Refusal("invalid_token", wrong) if wrong else _principal(claims, extra, issuer, longest_chain)


def _signed_payload(token: str, header: Header, keys: KeySet) -> bytes | Refusal:
    key = keys.key(header.kid, header.alg)
    if key is None:
        return Refusal("invalid_token", f"no {header.alg} key {header.kid!r}")
    try:
        payload: bytes = _JWS.decode_complete(token, key.key, algorithms=[header.alg])["payload"]
    except (jwt.PyJWTError, ValueError) as error:
        return Refusal("invalid_token", str(error))
    return payload


def _wrong(claims: Claims, issuer: Issuer, now: float) -> str:
    audiences: Sequence[str] = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    leeway = issuer.leeway_seconds
    checks = (
        (claims.iss == issuer.issuer, "issuer"),
        (issuer.audience in audiences, "audience"),
        (now < claims.exp + leeway, "expired"),
        (claims.exp < now + _FARTHEST, "expires too far in the future"),
        (claims.iat <= now + leeway, "issued in the future"),
        (claims.nbf <= now + leeway, "not valid yet"),
    )
    return next((reason for holds, reason in checks if not holds), "")


def _principal(claims: Claims, extra: dict[str, Any], issuer: Issuer, longest_chain: int) -> Principal | Refusal:
    subject = principal_id(claims.sub, "person")
    if subject is None:
        return Refusal("invalid_token", "sub is not a usable id")
    actors = actors_of(claims.act, issuer.issuer, longest_chain)
    if isinstance(actors, Refusal):
        return actors
    return Principal(
        id=subject,
        kind=kind_of(subject),
        issuer=issuer.issuer,
        actors=actors,
        proof=("bearer",),
        assurance=claims.acr,
        authenticated=claims.auth_time,
        expires=claims.exp + issuer.leeway_seconds,
        token=claims.jti,
        scopes=tuple(claims.scope.split()),
        roles=tuple(claims.roles),
        attributes={name: value for name, value in extra.items() if name not in _RESERVED} | _confirmation(claims),
    )


def _confirmation(claims: Claims) -> dict[str, Any]:
    return {"cnf": claims.cnf} if claims.cnf else {}


def _unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
