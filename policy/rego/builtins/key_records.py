"""Keys in the shape that Go gives them as JSON, which is the shape that OPA shows."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

CURVES = frozenset({"secp224r1", "secp256r1", "secp384r1", "secp521r1"})  # that Go, and so OPA, knows
RSA, DSA, ECDSA, ED25519, OTHER = 1, 2, 3, 4, 0  # Go's numbers of algorithms


def public_record(key: Any) -> tuple[int, Any]:
    """Go's number of the algorithm and the public key; None for a key of another kind. Raises ValueError."""
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return RSA, {"N": numbers.n, "E": numbers.e}
        case ec.EllipticCurvePublicKey():
            return ECDSA, _point(key)
        case ed25519.Ed25519PublicKey():
            return ED25519, base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
        case dsa.DSAPublicKey():
            group = key.parameters().parameter_numbers()
            return DSA, {"P": group.p, "Q": group.q, "G": group.g, "Y": key.public_numbers().y}
    return OTHER, None


def private_record(key: Any) -> Any:
    """The private key. Raises ValueError for one of a kind that Go does not know."""
    match key:
        case rsa.RSAPrivateKey():
            return _rsa(key.private_numbers())
        case ec.EllipticCurvePrivateKey():
            return {**_point(key.public_key()), "D": key.private_numbers().private_value}
        case ed25519.Ed25519PrivateKey():
            seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
            public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            return base64.b64encode(seed + public).decode()
        case x25519.X25519PrivateKey():
            return {}
    raise ValueError("a key of an unknown kind")


def _point(key: ec.EllipticCurvePublicKey) -> dict[str, Any]:
    if key.curve.name not in CURVES:
        raise ValueError("a key on an unknown curve")
    numbers = key.public_numbers()
    return {"Curve": {}, "X": numbers.x, "Y": numbers.y}


def _rsa(numbers: rsa.RSAPrivateNumbers) -> dict[str, Any]:
    computed = {"Dp": numbers.dmp1, "Dq": numbers.dmq1, "Qinv": numbers.iqmp, "CRTValues": []}
    return {
        "N": numbers.public_numbers.n,
        "E": numbers.public_numbers.e,
        "D": numbers.d,
        "Primes": [numbers.p, numbers.q],
        "Precomputed": computed,
    }
