"""SPIFFE ids of verified client certificates, as Envoy reports them in x-forwarded-client-cert."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from gateway.identity.refusal import Refusal

# SPIFFE-ID section 2: trust domain of lower-case letters, digits and .-_ ; path segments of letters, digits and .-_
_SPIFFE = re.compile(r"spiffe://([a-z0-9._-]{1,255})(/[A-Za-z0-9._-]+)+\Z")
_FIELD = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)(;|,|\Z)')


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What Envoy verified: the certificate's one SPIFFE id and its SHA-256, in hex."""

    spiffe_id: str
    sha256: str


def parse(header: str, trust_domains: Collection[str]) -> ClientCertificate | Refusal:
    """Read the header that our edge set. More than one certificate or URI is refused (X.509-SVID section 2)."""
    fields: list[tuple[str, str]] = []
    position = 0
    while position < len(header):
        match = _FIELD.match(header, position)
        if match is None or match[3] == ",":
            return Refusal("invalid_request", "x-forwarded-client-cert is not one certificate")
        fields.append((match[1].lower(), match[2].strip('"')))
        position = match.end()
    return _certificate(fields, trust_domains)


def _certificate(fields: list[tuple[str, str]], trust_domains: Collection[str]) -> ClientCertificate | Refusal:
    uris = [value for name, value in fields if name == "uri"]
    match = _SPIFFE.match(uris[0]) if len(uris) == 1 else None
    if match is None or "/." in match[0]:
        return Refusal("invalid_token", "the certificate does not have exactly one SPIFFE id")
    if match[1] not in trust_domains:
        return Refusal("invalid_token", f"trust domain {match[1]} is not trusted")
    return ClientCertificate(match[0], next((value for name, value in fields if name == "hash"), ""))
