"""Authorities of trust domains, and what they sign: certificates, good and bad, revocation lists and bundles."""

from __future__ import annotations

import datetime
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DOMAIN = "bank.example"
SVID = "spiffe://bank.example/batch"
Key = ec.EllipticCurvePrivateKey


class Ca:
    """An authority for certificates; one under another is an intermediate."""

    def __init__(
        self,
        name: str = DOMAIN,
        parent: Ca | None = None,
        hours: float = 12,
        ca: bool = True,
        signs: bool = True,
        posing_as: Ca | None = None,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self._parent = parent
        issuer = parent or self
        built = _builder(self.name, issuer, self.key, -2, hours, posing_as)
        built = built.add_extension(x509.BasicConstraints(ca, None), True).add_extension(usage(ca=signs), True)
        self.certificate = built.sign(issuer.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def path(self) -> list[x509.Certificate]:
        """What stands between a leaf and the authority at the top."""
        return [self.certificate, *self._parent.path] if self._parent else []

    def leaf(
        self,
        *uris: str,
        ca: bool = False,
        key_usage: x509.KeyUsage | None = None,
        begins: float = -1,
        hours: float = 12,
        other: tuple[x509.GeneralName, ...] = (),
    ) -> Leaf:
        """A certificate with these URI names, valid from `begins` hours before now to `hours` after."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(_name("leaf"), self, key, begins, hours)
        built = built.add_extension(x509.BasicConstraints(ca, None), True)
        built = built.add_extension(key_usage or usage(), True)
        names = [*(x509.UniformResourceIdentifier(uri) for uri in uris), *other]
        if names:
            built = built.add_extension(x509.SubjectAlternativeName(names), False)
        return Leaf([built.sign(self.key, hashes.SHA256()), *self.path], key)

    def revoking(self, *revoked: x509.Certificate, hours: float = 12) -> bytes:
        """A revocation list, the next one due in so many hours."""
        now = datetime.datetime.now(datetime.UTC)
        hour = datetime.timedelta(hours=1)
        built = x509.CertificateRevocationListBuilder(self.name, now - hour, _hours(now, hours))
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder(certificate.serial_number, now - hour).build()
            built = built.add_revoked_certificate(entry)
        return built.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Leaf:
    """A certificate with its key and what stands between it and its authority."""

    def __init__(self, chain: list[x509.Certificate], key: Key) -> None:
        self.certificate = chain[0]
        self.chain = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)
        self.key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path, name: str = "leaf") -> tuple[Path, Path]:
        """Certificate and key files."""
        files = folder / f"{name}.pem", folder / f"{name}.key"
        files[0].write_bytes(self.chain)
        files[1].write_bytes(self.key)
        return files


def self_signed(*uris: str) -> Leaf:
    """A certificate that vouches for itself."""
    vain = Ca("vain")
    vain.key = key = ec.generate_private_key(ec.SECP256R1())
    built = _builder(vain.name, vain, key, -1, 1).add_extension(usage(), True)
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    built = built.add_extension(x509.SubjectAlternativeName(names), False)
    return Leaf([built.sign(key, hashes.SHA256())], key)


def usage(*, ca: bool = False, signs: bool = True, certificates: bool = False, lists: bool = False) -> x509.KeyUsage:
    """What a key is for."""
    return x509.KeyUsage(signs and not ca, False, False, False, False, ca or certificates, ca or lists, False, False)


def jwk(key: Any, kid: str | None, use: str | None = "jwt-svid") -> dict[str, Any]:
    """A public key as it stands in a bundle."""
    kind: Any = jwt.algorithms.ECAlgorithm if isinstance(key, Key) else jwt.algorithms.RSAAlgorithm
    entry = json.loads(kind.to_jwk(key.public_key()))
    return {name: value for name, value in {**entry, "kid": kid, "use": use}.items() if value is not None}


def x509_jwk(*certificates: x509.Certificate) -> dict[str, Any]:
    """An X.509 authority as it stands in a bundle."""
    chain = [b64encode(certificate.public_bytes(Encoding.DER)).decode() for certificate in certificates]
    return {"kty": "EC", "crv": "P-256", "use": "x509-svid", "x5c": chain}


def document(*entries: Any, **more: Any) -> bytes:
    """A SPIFFE bundle."""
    return json.dumps({"keys": entries, **more}).encode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: Ca, key: Key, begins: float, ends: float, posing_as: Ca | None = None
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    built = x509.CertificateBuilder(
        issuer.name, subject, public, x509.random_serial_number(), _hours(now, begins), _hours(now, ends)
    )
    # Authorities that follow one another have one name: these tell them apart.
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    own = x509.SubjectKeyIdentifier.from_public_key(posing_as.key.public_key() if posing_as else public)
    return built.add_extension(own, False).add_extension(above, False)


def _hours(now: datetime.datetime, hours: float) -> datetime.datetime:
    return now + datetime.timedelta(hours=hours)
