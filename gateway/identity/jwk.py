"""JSON Web Keys (RFC 7517): a public key, the algorithms that it may verify, and its thumbprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.identity import base64url

# By algorithm: the type of key and, where there are several, its curve. Nothing symmetric: who verifies cannot sign.
ALGORITHMS: Final = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),  # RFC 9864
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
}
_VERIFIERS = {name: jwt.get_algorithm_by_name("EdDSA" if name == "Ed25519" else name) for name in ALGORITHMS}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_IDENTIFYING = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
_RSA_BITS = range(2048, 8193)
_LARGEST_EXPONENT = 1 << 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that somebody signs with. It serves the algorithms of one family, whatever a signature says."""

    kid: str
    algorithms: frozenset[str]
    thumbprint: str  # RFC 7638, SHA-256, base64url
    key: Any

    def verifies(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether a signature over a message is this key's, by an algorithm that it serves."""
        return algorithm in self.algorithms and bool(_VERIFIERS[algorithm].verify(message, self.key, signature))


def public_key(entry: Any) -> PublicKey | None:
    """The key in a JWK; None if it is no public key for signatures, or too weak or too large to use."""
    if not isinstance(entry, dict) or _PRIVATE & entry.keys() or entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops", ["verify"])
    algorithms = _algorithms(entry)
    if not algorithms or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = _VERIFIERS[min(algorithms)].from_jwk(entry)
        thumbprint = _thumbprint(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    kid = entry.get("kid", "")
    fit = isinstance(kid, str) and (not isinstance(key, rsa.RSAPublicKey) or _strong(key))
    return PublicKey(kid, algorithms, thumbprint, key) if fit else None


def _algorithms(entry: dict[str, Any]) -> frozenset[str]:
    kind, curve, only = entry.get("kty"), entry.get("crv"), entry.get("alg")
    fitting = (name for name, family in ALGORITHMS.items() if family in ((kind, curve), (kind, None)))
    return frozenset(name for name in fitting if only is None or _same(only, name))


def _same(one: Any, other: str) -> bool:
    return one == other or {one, other} == {"EdDSA", "Ed25519"} if isinstance(one, str) else False


def _strong(key: rsa.RSAPublicKey) -> bool:
    exponent = key.public_numbers().e
    return key.key_size in _RSA_BITS and 2 < exponent <= _LARGEST_EXPONENT and exponent % 2 == 1


def _thumbprint(entry: dict[str, Any]) -> str:
    """RFC 7638 section 3."""
    members = {name: entry[name] for name in _IDENTIFYING[entry["kty"]]}
    digest = hashlib.sha256(msgspec.json.encode(members, order="sorted")).digest()
    return base64url.encode(digest)
