"""Signature algorithms (RFC 9421 section 3.3). A key has one, whatever a signature says, and none is symmetric: who can
verify cannot sign.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from gateway.identity.jwk import PublicKey

_RSA_PSS = "rsa-pss-sha512"
# By algorithm: JOSE's name of the same thing, with signatures of the same form.
_JOSE = {
    "ed25519": "EdDSA",
    "ecdsa-p256-sha256": "ES256",
    "ecdsa-p384-sha384": "ES384",
    "rsa-v1_5-sha256": "RS256",
}


def algorithm_of(key: PublicKey) -> str:
    """The algorithm of a key, "" if it has none here. An RSA key whose JWK names RS256 signs by rsa-v1_5-sha256; one
    that names PS512, or nothing, by rsa-pss-sha512.
    """
    if "PS512" in key.algorithms:
        return _RSA_PSS
    return next((name for name, jose in _JOSE.items() if jose in key.algorithms), "")


def verifies(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether a signature over a message is this key's, by the one algorithm that the key has."""
    algorithm = algorithm_of(key)
    if algorithm == _RSA_PSS:
        return _rsa_pss(key, message, signature)
    return algorithm in _JOSE and key.verifies(_JOSE[algorithm], message, signature)


def _rsa_pss(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.key.verify(signature, message, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())
    except InvalidSignature:
        return False
    return True
