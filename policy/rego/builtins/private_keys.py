"""Private keys in PEM, or in base64 of it: as Go's JSON, and as JSON Web Keys."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from policy.rego.builtins import pem
from policy.rego.builtins.key_records import CURVES, private_record
from policy.rego.builtins.octets import from_base64
from policy.rego.builtins.operands import text_of
from policy.rego.builtins.partial import string, undefined_on

LABELS = frozenset({"RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY"})


@undefined_on(ValueError)
def parse_private_keys(material: Any) -> Any:
    """Array of the private keys in a text; null for no text."""
    return [private_record(key) for key in private_keys(material)] if string(material) else None


@undefined_on(ValueError)
def parse_rsa_private_key(material: Any) -> Any:
    """The first private key, of any kind, as a JSON Web Key; null if there is none."""
    if not string(material):
        raise ValueError("no key")
    found = private_keys(material if material.startswith("-----BEGIN") else text_of(from_base64(material)))
    return _jwk(found[0]) if found else None


def private_keys(material: str) -> list[Any]:
    """Keys of the blocks that hold a private key; others are skipped. Raises ValueError."""
    with contextlib.suppress(ValueError):  # it is PEM itself
        material = text_of(from_base64(material))
    return [load(block.content) for block in pem.blocks(material) if block.label in LABELS]


def load(content: bytes) -> Any:
    """A private key of DER, not encrypted. Raises ValueError."""
    try:
        return load_der_private_key(content, None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error


def _jwk(key: Any) -> dict[str, Any]:
    try:
        made = _web_key(key)
    except PyJWTError as error:
        raise ValueError(str(error)) from error
    return {name: held for name, held in made.items() if name != "key_ops"}


def _web_key(key: Any) -> dict[str, Any]:
    match key:
        case rsa.RSAPrivateKey():
            return RSAAlgorithm.to_jwk(key, as_dict=True)
        case ec.EllipticCurvePrivateKey() if key.curve.name in CURVES:
            return ECAlgorithm.to_jwk(key, as_dict=True)
        case ed25519.Ed25519PrivateKey():
            return OKPAlgorithm.to_jwk(key, as_dict=True)
        case x25519.X25519PrivateKey():
            public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            secret = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
            return {"kty": "OKP", "crv": "X25519", "x": _base64url(public), "d": _base64url(secret)}
    raise ValueError("a key of an unknown kind")


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


BUILTINS: dict[str, Callable[..., Any]] = {
    "crypto.parse_private_keys": parse_private_keys,
    "crypto.x509.parse_rsa_private_key": parse_rsa_private_key,
}
