"""Keys and certificates as bytes, between processes of ours, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.identity import KeySet
from gateway.identity.jwk import PublicKey
from gateway.identity.spiffe import Bundle, Revoked
from gateway.transactions import KeyRing, SigningKey

_DER = serialization.Encoding.DER
_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


class Key(msgspec.Struct, frozen=True, array_like=True):
    """A public key."""

    kid: str
    algorithms: tuple[str, ...]
    thumbprint: str
    der: bytes  # SubjectPublicKeyInfo


class Authorities(msgspec.Struct, frozen=True, array_like=True):
    """A trust bundle. Its revocation lists themselves are the edge's; we need only whom they name."""

    certificates: tuple[bytes, ...]  # DER
    keys: dict[str, Key]  # by `kid`
    revoked: dict[bytes, tuple[bytes, ...]]  # by issuer (DER): serial numbers, big-endian


Bundles = dict[str, Authorities]


class Signing(msgspec.Struct, frozen=True, array_like=True):
    """A key of our ring: secret."""

    der: bytes  # PKCS #8
    signs_from: float  # Unix seconds

    def __repr__(self) -> str:
        return f"Signing(signs_from={self.signs_from})"


def keys_out(keys: Iterable[PublicKey]) -> tuple[Key, ...]:
    """Public keys, in their order."""
    return tuple(map(_key_out, keys))


def keys_in(keys: Iterable[Key], missing: str = "") -> KeySet:
    """The same set again."""
    return KeySet(map(_key_in, keys), missing)


def bundle_out(bundle: Bundle) -> Authorities:
    """A trust bundle."""
    revoked: dict[bytes, list[bytes]] = {}
    for issuer, serial in bundle.revoked.certificates:
        revoked.setdefault(issuer, []).append(serial.to_bytes(serial.bit_length() // 8 + 1))
    return Authorities(
        tuple(each.public_bytes(_DER) for each in bundle.authorities),
        {kid: _key_out(key) for kid, key in bundle.keys.items()},
        {issuer: tuple(serials) for issuer, serials in revoked.items()},
    )


def bundle_in(authorities: Authorities) -> Bundle:
    """The same bundle again, as far as identities are judged by it."""
    named = ((issuer, int.from_bytes(one)) for issuer, serials in authorities.revoked.items() for one in serials)
    return Bundle(
        tuple(map(x509.load_der_x509_certificate, authorities.certificates)),
        {kid: _key_in(key) for kid, key in authorities.keys.items()},
        Revoked(certificates=frozenset(named)),
    )


def bundles_out(bundles: Mapping[str, Bundle]) -> Bundles:
    """Trust bundles by name."""
    return {name: bundle_out(bundle) for name, bundle in bundles.items()}


def bundles_in(bundles: Bundles) -> dict[str, Bundle]:
    """The same again."""
    return {name: bundle_in(bundle) for name, bundle in bundles.items()}


def ring_out(ring: KeyRing) -> tuple[Signing, ...]:
    """The keys of a ring."""
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    return tuple(Signing(key.private.private_bytes(_DER, pkcs8, plain), key.signs_from) for key in ring.keys)


def ring_in(keys: Iterable[Signing]) -> KeyRing:
    """The same ring again. Raises ValueError."""
    return KeyRing(tuple(SigningKey.of(_private(key.der), key.signs_from) for key in keys))


def _private(der: bytes) -> ec.EllipticCurvePrivateKey:
    key: Any = serialization.load_der_private_key(der, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a key of a ring")
    return key


def _key_out(key: PublicKey) -> Key:
    return Key(key.kid, tuple(sorted(key.algorithms)), key.thumbprint, key.key.public_bytes(_DER, _PUBLIC))


def _key_in(key: Key) -> PublicKey:
    public: Any = serialization.load_der_public_key(key.der)
    return PublicKey(key.kid, frozenset(key.algorithms), key.thumbprint, public)
