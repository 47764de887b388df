"""JSON Web Signatures in the compact form (RFC 7515), read strictly: one spelling, one reading, nothing that tells the
reader which key to trust.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec

from gateway.identity import base64url
from gateway.identity.jwk import PublicKey
from gateway.json_body import read_json

LONGEST = 16_384  # characters; a longer one is refused before anything is parsed
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\Z")
_FOREIGN = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip")  # who signs does not extend JWS nor bring the key


class Jws(msgspec.Struct, frozen=True, gc=False):
    """A signed message; nothing of it is believed before `signed_by`."""

    algorithm: str
    typ: str  # in lower case, without "application/"
    kid: str
    header: dict[str, Any]
    payload: bytes
    message: bytes  # what is signed
    signature: bytes

    def signed_by(self, key: PublicKey) -> bool:
        """Whether a key signed it."""
        return key.verifies(self.algorithm, self.message, self.signature)


def read(token: str, longest: int = LONGEST, allowed: Collection[str] = ()) -> Jws | str:
    """A compact JWS, or what is wrong with it. `allowed`: header parameters that may be there although most uses have
    no business with them ("jwk" in a DPoP proof).
    """
    if len(token) > longest:
        return f"longer than {longest} characters"
    match = _COMPACT.match(token)
    if match is None:
        return "not three parts of base64url"
    try:
        fields, payload, signature = (
            object_of(base64url.decode(match[1])),
            base64url.decode(match[2]),
            base64url.decode(match[3]),
        )
    except ValueError as error:
        return str(error)
    algorithm, typ, kid = fields.get("alg"), fields.get("typ", ""), fields.get("kid", "")
    if not (isinstance(algorithm, str) and isinstance(typ, str) and isinstance(kid, str)):
        return "alg, typ or kid is no text"
    foreign = [name for name in _FOREIGN if name in fields and name not in allowed]
    if foreign:
        return f"header {foreign[0]} is not accepted"
    typ = typ.lower().removeprefix("application/")
    return Jws(algorithm, typ, kid, fields, payload, f"{match[1]}.{match[2]}".encode(), signature)


def object_of(text: bytes) -> dict[str, Any]:
    """A JSON object that everybody reads alike. Raises ValueError for anything else."""
    try:
        value = read_json(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
