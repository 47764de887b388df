"""Client certificates that the edge has verified: what binds a token, and the SPIFFE id of a workload.

Envoy hands the certificate over in x-forwarded-client-cert, as URL-encoded PEM. The chain is Envoy's to verify; what a
certificate may say for itself is ours (X.509-SVID, sections 2 to 5).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.identity.refusal import Refusal

T = TypeVar("T", bound=x509.ExtensionType)
LONGEST = 32_768  # characters of the header
# SPIFFE-ID section 2: trust domain of lower-case letters, digits and .-_ ; path segments of letters, digits and .-_
_SPIFFE = re.compile(r"spiffe://([a-z0-9._-]{1,255})(/[A-Za-z0-9._-]+)+\Z")
_FIELD = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)(;|,|\Z)')


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What one verified leaf certificate says."""

    sha256: bytes  # of the DER
    expires: float  # Unix seconds
    uris: tuple[str, ...]  # URI subject alternative names
    fit: bool  # whether its use is a leaf's: CA false, digitalSignature, neither keyCertSign nor cRLSign


@lru_cache(maxsize=4096)
def parse(header: str) -> ClientCertificate | Refusal:
    """Read the header that our edge set: exactly one certificate."""
    fields = _fields(header) if len(header) <= LONGEST else None
    pems = [value for name, value in fields if name == "cert"] if fields else []
    if len(pems) != 1:
        return Refusal("invalid_request", "x-forwarded-client-cert is not one certificate")
    try:
        return _read(x509.load_pem_x509_certificate(unquote(pems[0]).encode()))
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return Refusal("invalid_token", f"client certificate: {error}")


def spiffe_id(certificate: ClientCertificate, trust_domains: Collection[str], now: float) -> str | Refusal:
    """The one SPIFFE id of a certificate, if it is an X.509-SVID of a trusted domain at `now` (Unix seconds)."""
    match = _SPIFFE.match(certificate.uris[0]) if len(certificate.uris) == 1 else None
    if match is None or "/." in match[0]:
        return Refusal("invalid_token", "the certificate does not have exactly one SPIFFE id")
    if match[1] not in trust_domains:
        return Refusal("invalid_token", f"trust domain {match[1]} is not trusted")
    if not certificate.fit:
        return Refusal("invalid_token", "the certificate may sign others, or may not sign at all")
    return match[0] if now < certificate.expires else Refusal("invalid_token", "the certificate has expired")


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


def _read(certificate: x509.Certificate) -> ClientCertificate:
    extensions = certificate.extensions
    names = _value(extensions, x509.SubjectAlternativeName)
    return ClientCertificate(
        sha256=certificate.fingerprint(hashes.SHA256()),
        expires=certificate.not_valid_after_utc.timestamp(),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else (),
        fit=_fit(extensions),
    )


def _fit(extensions: x509.Extensions) -> bool:
    authority, usage = _value(extensions, x509.BasicConstraints), _value(extensions, x509.KeyUsage)
    if usage is None or (authority is not None and authority.ca):
        return False
    return usage.digital_signature and not usage.key_cert_sign and not usage.crl_sign


def _value(extensions: x509.Extensions, kind: type[T]) -> T | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
