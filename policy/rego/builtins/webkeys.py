"""Keys that tokens are verified or signed with: JSON Web Keys and sets of them (RFC 7517), or keys in PEM."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from policy.rego.builtins import pem
from policy.rego.builtins.key_records import CURVES
from policy.rego.builtins.partial import mapping, string
from policy.rego.builtins.signatures import ALGORITHMS
from policy.rego.json_text import decode

_TEXTS = ("kid", "use", "x5u", "x5t", "x5t#S256")  # members that are text or null
_NUMBERS = ("k", "n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y")  # those that hold key material
_MATERIAL = re.compile(r"(?:[\w+/-]{4})*(?:[\w+/-]{2}(?:==)?|[\w+/-]{3}=?)?", re.ASCII)
MAX_KEYS = 1000
MAX_KEPT = 65_536  # characters: what was read from a longer text is not kept for the next time
_KINDS: dict[str, Callable[[dict[Any, Any]], Any]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
    "oct": HMACAlgorithm.from_jwk,
}


class WebKey(NamedTuple):
    """A key with what its JWK says of its use; "" where it says nothing."""

    algorithm: str
    id: str
    key: Any


def verification_keys(text: str) -> tuple[WebKey, ...]:
    """Keys of one PEM certificate or public key, of a JWK or of a set, but for those of algorithms that no token has.

    Raises ValueError if anything in the text cannot be read.
    """
    return _kept(text) if len(text) <= MAX_KEPT else _read(text)


def signing_key(text: str) -> Any:
    """The first key of a JWK or a set. Raises ValueError."""
    keys = _set(text)
    if not keys:
        raise ValueError("no key")
    return keys[0].key


def _read(text: str) -> tuple[WebKey, ...]:
    if block := pem.first_block(text):
        if block.after != len(text):
            raise ValueError("text after a PEM block")
        return (WebKey("", "", _of_pem(block)),)
    return tuple(one for one in _set(text) if not one.algorithm or one.algorithm in ALGORITHMS)


_kept = lru_cache(maxsize=128)(_read)


def _of_pem(block: pem.Block) -> Any:
    if block.label == "PUBLIC KEY":
        return _built(load_der_public_key, block.content)
    if block.label != "CERTIFICATE":
        raise ValueError(f"no public key in a {block.label}")
    return _built(lambda content: x509.load_der_x509_certificate(content).public_key(), block.content)


def _set(text: str) -> tuple[WebKey, ...]:
    document = mapping(decode(text))
    entries = document.get("keys", [document])
    if type(entries) is not list or len(entries) > MAX_KEYS:
        raise ValueError("not a set of keys")
    return tuple(_of_jwk(mapping(entry)) for entry in entries)


def _of_jwk(entry: dict[Any, Any]) -> WebKey:
    build = _KINDS.get(string(entry.get("kty")))
    texts = {name: "" if entry.get(name) is None else string(entry[name]) for name in _TEXTS}
    if build is None or not all(_MATERIAL.fullmatch(string(entry.get(name, ""))) for name in _NUMBERS):
        raise ValueError("not a key, or one of an unknown type")
    return WebKey(string(entry.get("alg", "")), texts["kid"], _built(build, entry))


def _built(build: Callable[[Any], Any], material: Any) -> Any:
    try:
        made = build(material)
    except (PyJWTError, UnsupportedAlgorithm, x509.InvalidVersion, TypeError, KeyError, OverflowError) as error:
        raise ValueError(str(error)) from error
    curve = getattr(made, "curve", None)
    if (curve and curve.name not in CURVES) or isinstance(made, (Ed448PublicKey, Ed448PrivateKey)):
        raise ValueError("a key on an unknown curve")
    return made
