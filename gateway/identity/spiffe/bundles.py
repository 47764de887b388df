"""Trust bundles: the authorities of one trust domain, for certificates and for tokens, from a PEM file or a SPIFFE
bundle document (SPIFFE Trust Domain and Bundle, section 4).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.identity.client_certificate import UNREADABLE
from gateway.identity.jwk import PublicKey, public_key
from gateway.identity.jws import object_of

LARGEST = 1 << 20  # bytes of a bundle
_MOST = 256  # authorities of one trust domain


@dataclass(frozen=True, slots=True)
class Revoked:
    """Which certificates their authorities took back."""

    pem: bytes = b""  # the lists
    certificates: frozenset[tuple[bytes, int]] = frozenset()  # name of the issuer (DER) and serial number

    def any_of(self, chain: Iterable[x509.Certificate]) -> bool:
        """Whether one of these certificates is among them."""
        return any((each.issuer.public_bytes(), each.serial_number) in self.certificates for each in chain)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Who vouches for the workloads of one trust domain."""

    authorities: tuple[x509.Certificate, ...] = ()  # X.509 authorities; none if no certificate is trusted
    keys: Mapping[str, PublicKey] = field(default_factory=dict)  # JWT authorities by `kid`
    revoked: Revoked = Revoked()

    @property
    def pem(self) -> bytes:
        """The X.509 authorities and their revocation lists, as an Envoy takes them."""
        pems = [certificate.public_bytes(Encoding.PEM) for certificate in self.authorities]
        return b"".join([*pems, self.revoked.pem]) if pems else b""


def read_bundle(content: bytes) -> Bundle | str:
    """The bundle in a file: PEM certificates, or a SPIFFE bundle (JSON); or what is wrong with it. One that is wrong in
    a part is wrong: half a bundle would refuse half of the workloads.
    """
    if len(content) > LARGEST:
        return f"a bundle of more than {LARGEST} bytes"
    try:
        return _document(object_of(content)) if content.lstrip()[:1] == b"{" else Bundle(_pem(content))
    except UNREADABLE as error:
        return str(error)


def x509_authorities(certificates: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """X.509 authorities, each once, in an order of their own. Raises ValueError for a certificate that is no
    authority's, and for too many.
    """
    found = {certificate.public_bytes(Encoding.DER): _authority(certificate) for certificate in certificates}
    if len(found) > _MOST:
        raise ValueError(f"more than {_MOST} authorities")
    return tuple(found[der] for der in sorted(found))


def jwt_authorities(entries: Iterable[dict[str, Any]]) -> dict[str, PublicKey]:
    """JWT authorities by `kid` from their JWKs. Kinds of keys that we have no use for are skipped. Raises ValueError
    for a `kid` that is missing or stands twice, and for too many.
    """
    keys: dict[str, PublicKey] = {}
    for entry in entries:
        kid = entry.get("kid")
        if not isinstance(kid, str) or not kid or kid in keys:
            raise ValueError("a JWT authority without a kid of its own")
        if key := public_key({**entry, "use": "sig"}):
            keys[kid] = key
    if len(keys) > _MOST:
        raise ValueError(f"more than {_MOST} authorities")
    return keys


def _pem(content: bytes) -> tuple[x509.Certificate, ...]:
    return x509_authorities(x509.load_pem_x509_certificates(content))


def _document(document: dict[str, Any]) -> Bundle:
    entries = document.get("keys")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("not a SPIFFE bundle: no list of keys")
    for name in ("spiffe_sequence", "spiffe_refresh_hint"):
        number = document.get(name, 0)
        if type(number) is not int or number < 0:
            raise ValueError(f"not a SPIFFE bundle: {name} is no whole number")
    # Section 4.2.2: a key of another use, or of none, is not ours to read.
    certificates = (_certificate(entry) for entry in entries if entry.get("use") == "x509-svid")
    keys = jwt_authorities(entry for entry in entries if entry.get("use") == "jwt-svid")
    return Bundle(x509_authorities(certificates), keys)


def _certificate(entry: dict[str, Any]) -> x509.Certificate:
    chain = entry.get("x5c")
    if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
        raise ValueError("an X.509 authority without exactly one certificate in x5c")
    try:
        return x509.load_der_x509_certificate(b64decode(chain[0], validate=True))
    except binascii.Error as error:
        raise ValueError(f"x5c: {error}") from None


def _authority(certificate: x509.Certificate) -> x509.Certificate:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = None
    if constraints is None or not constraints.ca:
        raise ValueError(f"{certificate.subject.rfc4514_string()!r} is no authority")
    return certificate
