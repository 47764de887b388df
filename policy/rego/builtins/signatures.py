"""Signatures of tokens (RFC 7518, RFC 8037). A key is octets (HMAC) or one of `cryptography`'s."""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

MIN_RSA_BITS = 1024  # Go, and so OPA, neither signs nor verifies with less
_HASHES: dict[str, type[HashAlgorithm]] = {"256": SHA256, "384": SHA384, "512": SHA512}
_PRIVATE = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
ALGORITHMS = frozenset({f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in _HASHES} | {"EdDSA"})


def verified(algorithm: str, key: Any, signed: bytes, signature: bytes, *, strict: bool = True) -> bool:
    """Whether this key made the signature; false for a key of another kind than the algorithm's.

    Strict as the RFCs are about an EC signature's length, the salt of RSA-PSS and an empty secret, or lenient as OPA's
    `io.jwt.verify_…` are, which take no private keys, though. As in OPA, an EC key's curve is not tied to the digest.
    """
    if strict and isinstance(key, _PRIVATE):
        key = key.public_key()
    try:
        return algorithm in ALGORITHMS and _verified(algorithm, key, signed, signature, strict)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False


def signature(algorithm: str, key: Any, signed: bytes) -> bytes:
    """A signature. Raises ValueError where the key is not of the algorithm's kind."""
    match algorithm[:2], key:
        case _ if algorithm not in ALGORITHMS:
            raise ValueError(f"unknown algorithm {algorithm}")
        case "HS", bytes() if key:
            return _mac(algorithm, key, signed)
        case "RS" | "PS", rsa.RSAPrivateKey() if key.key_size >= MIN_RSA_BITS:
            return key.sign(signed, _padding(algorithm, padding.PSS.DIGEST_LENGTH), _hash(algorithm))
        case "ES", ec.EllipticCurvePrivateKey():
            numbers = decode_dss_signature(key.sign(signed, ec.ECDSA(_hash(algorithm))))
            return b"".join(number.to_bytes(_width(key)) for number in numbers)
        case "Ed", ed25519.Ed25519PrivateKey():
            return key.sign(signed)
    raise ValueError(f"no key for {algorithm}")


def _verified(algorithm: str, key: Any, signed: bytes, signature: bytes, strict: bool) -> bool:
    match algorithm[:2], key:
        case "HS", bytes():
            return bool(key or not strict) and hmac.compare_digest(signature, _mac(algorithm, key, signed))
        case "RS" | "PS", rsa.RSAPublicKey() if key.key_size >= MIN_RSA_BITS:
            salt = padding.PSS.DIGEST_LENGTH if strict else padding.PSS.AUTO
            key.verify(signature, signed, _padding(algorithm, salt), _hash(algorithm))
        case "ES", ec.EllipticCurvePublicKey() if not strict or len(signature) == 2 * _width(key):
            half = len(signature) // 2
            numbers = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
            key.verify(encode_dss_signature(*numbers), signed, ec.ECDSA(_hash(algorithm)))
        case "Ed", ed25519.Ed25519PublicKey():
            key.verify(signature, signed)
        case _:
            return False
    return True


def _mac(algorithm: str, key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, f"sha{algorithm[2:]}")


def _width(key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> int:
    return (key.key_size + 7) // 8


def _padding(algorithm: str, salt: Any) -> padding.AsymmetricPadding:
    if algorithm.startswith("RS"):
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(_hash(algorithm)), salt)


def _hash(algorithm: str) -> HashAlgorithm:
    return _HASHES[algorithm[2:]]()
