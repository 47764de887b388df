"""The gateway's public keys, by id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from jwt.algorithms import ECAlgorithm

Keys = Mapping[str, EllipticCurvePublicKey]


def read_keys(document: bytes) -> Keys:
    """The ES256 keys of a JWK Set (RFC 7517 section 5); others are left out. Raises ValueError if there are none."""
    try:
        entries = msgspec.json.decode(document)["keys"]
        keys = {entry["kid"]: key for entry in entries if (key := _key(entry)) is not None}
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a JWK Set: {error!r}") from None
    if not keys:
        raise ValueError("a JWK Set without an ES256 key")
    return keys


def _key(entry: dict[str, Any]) -> EllipticCurvePublicKey | None:
    if entry.get("crv") != "P-256" or entry.get("alg", "ES256") != "ES256" or not isinstance(entry.get("kid"), str):
        return None
    try:
        key = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(entry)
    except (jwt.PyJWTError, ValueError):
        return None
    return key if isinstance(key, EllipticCurvePublicKey) else None
