"""Client certificates that the edge has verified: what each says for itself, whoever it is.

Envoy hands the certificate over in x-forwarded-client-cert, as URL-encoded PEM. The chain is Envoy's to verify.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.identity import base64url
from gateway.identity.refusal import Refusal

T = TypeVar("T", bound=x509.ExtensionType)
LONGEST = 32_768  # characters of the header
_REMEMBERED = 1024  # headers; their longest times this bounds the memory
_FIELD = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)(;|,|\Z)')
_PEM = r"(-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?)"
_SHAPES = {"cert": re.compile(_PEM + r"\Z"), "chain": re.compile(_PEM + r"{1,8}\Z")}
# What reading a certificate raises; the parts of one are read when they are asked for.
UNREADABLE = (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What one leaf certificate says, that the edge found to be its holder's and to come from some authority."""

    sha256: bytes  # of the DER
    begins: float  # Unix seconds
    expires: float  # Unix seconds
    uris: tuple[str, ...]  # URI subject alternative names
    chain: tuple[x509.Certificate, ...]  # the leaf, and what its holder showed with it
    unfit: str  # why it may not stand for who uses it, empty if it may (X.509-SVID, section 4)

    @property
    def thumbprint(self) -> str:
        """As `cnf` claims name it, x5t#S256 (RFC 8705 section 3.1)."""
        return base64url.encode(self.sha256)


@lru_cache(maxsize=_REMEMBERED)
def parse(header: str) -> ClientCertificate | Refusal:
    """Read the header that our edge set: exactly one certificate, alone (Cert) or with its chain (Chain)."""
    fields = _fields(header) if len(header) <= LONGEST else None
    pems = [(name, unquote(value)) for name, value in fields if name in ("cert", "chain")] if fields else []
    if len(pems) != 1 or not _SHAPES[pems[0][0]].match(pems[0][1]):
        return Refusal("invalid_request", "x-forwarded-client-cert is not one certificate")
    try:
        return _read(x509.load_pem_x509_certificates(pems[0][1].encode()))
    except UNREADABLE as error:
        return Refusal("invalid_token", f"client certificate: {error}")


def _fields(header: str) -> list[tuple[str, str]] | None:
    fields: list[tuple[str, str]] = []
    position = 0
    while position < len(header):
        match = _FIELD.match(header, position)
        if match is None or match[3] == ",":
            return None
        fields.append((match[1].lower(), match[2].strip('"')))
        position = match.end()
    return fields


def _read(chain: list[x509.Certificate]) -> ClientCertificate:
    certificate = chain[0]
    extensions = certificate.extensions
    names = _value(extensions, x509.SubjectAlternativeName)
    return ClientCertificate(
        sha256=certificate.fingerprint(hashes.SHA256()),
        begins=certificate.not_valid_before_utc.timestamp(),
        expires=certificate.not_valid_after_utc.timestamp(),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else (),
        chain=tuple(chain),
        unfit=_unfit(_value(extensions, x509.BasicConstraints), _value(extensions, x509.KeyUsage)),
    )


def _unfit(constraints: x509.BasicConstraints | None, usage: x509.KeyUsage | None) -> str:
    """X.509-SVID, sections 4.1 and 4.3. Who has an authority's certificate could name himself as he likes."""
    if constraints is not None and constraints.ca:
        return "the certificate is an authority's"
    if usage is None or not usage.digital_signature:
        return "the certificate's key is not for signatures"
    if usage.key_cert_sign:
        return "the certificate's key may sign certificates"
    return "the certificate's key may sign revocation lists" if usage.crl_sign else ""


def _value(extensions: x509.Extensions, kind: type[T]) -> T | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
