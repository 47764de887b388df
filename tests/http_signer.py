"""An agent that signs its requests (RFC 9421), for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import http_sf
import jwt
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.identity.jwk import PublicKey, public_key
from gateway.identity.signatures import Message, signature_base
from gateway.identity.signatures.component import component

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Agent:
    """One key. `jwk` adds to the public key what the agent says of it."""

    def __init__(self, private: PrivateKey, **jwk: Any) -> None:
        self.private = private
        self.jwk = _jwk(private) | jwk
        parsed = public_key(self.jwk)
        assert parsed is not None
        self.key: PublicKey = parsed
        self.keyid = self.key.thumbprint

    def sign(self, message: Message, components: Sequence[str], label: str = "sig1", **parameters: Any) -> Message:
        """The message with its signature. `components` as Signature-Input writes them; a parameter of None is left
        out.
        """
        given = {"keyid": self.keyid, **parameters}
        written = "".join(f";{name}={http_sf.ser(value)}" for name, value in given.items() if value is not None)
        member = f"({' '.join(components)}){written}"
        base = signature_base(message, map(component, items_of(member)), member)
        signature = http_sf.ser(self.signature(base))
        signed = (("Signature-Input", f"{label}={member}"), ("Signature", f"{label}={signature}"))
        return msgspec.structs.replace(message, headers=(*message.headers, *signed))

    def signature(self, base: bytes) -> bytes:
        """Over these bytes, by the key's own algorithm."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(base)
        if isinstance(self.private, rsa.RSAPrivateKey):
            if self.jwk.get("alg") == "RS256":
                return self.private.sign(base, padding.PKCS1v15(), hashes.SHA256())
            return self.private.sign(base, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())
        size = self.private.key_size // 8
        digest = hashes.SHA256() if size == 32 else hashes.SHA384()
        r, s = decode_dss_signature(self.private.sign(base, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def items_of(member: str) -> list[Any]:
    """The items of a member of Signature-Input."""
    parsed: Any = http_sf.parse(member.encode(), tltype="list")
    items: list[Any] = parsed[0][0]
    return items


def _jwk(private: PrivateKey) -> dict[str, Any]:
    kinds: Any = {
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
    }
    elliptic: Any = jwt.algorithms.ECAlgorithm
    kind = next((kind for held, kind in kinds.items() if isinstance(private, held)), elliptic)
    entry: dict[str, Any] = json.loads(kind.to_jwk(private.public_key()))
    return {name: value for name, value in entry.items() if name != "key_ops"}
