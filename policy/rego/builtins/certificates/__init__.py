"""Certificates (X.509, RFC 5280): parsed into the shape of Go's structures, which is the shape that OPA shows."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from cryptography import x509

from policy.rego.builtins.certificates import reading, records
from policy.rego.builtins.certificates.reading import UNREADABLE
from policy.rego.builtins.certificates.verifying import Wanted, verified, wanted
from policy.rego.builtins.key_records import private_record
from policy.rego.builtins.partial import mapping, string, undefined_on
from policy.rego.memory import NOW, Memory


@undefined_on(*UNREADABLE)
def parse_certificates(given: Any) -> Any:
    """Array of certificates."""
    return [_with_uris(one) for one in reading.certificates(string(given))]


@undefined_on(*UNREADABLE)
def parse_and_verify(m: Memory, given: Any) -> Any:
    """`[true, chain]` from the last certificate to the first, which is trusted, or `[false, []]`."""
    return _judged(_read(string(given)), Wanted(m[NOW]), _with_uris)


@undefined_on(*UNREADABLE)
def parse_and_verify_with_options(m: Memory, given: Any, options: Any) -> Any:
    """The same, at another time, for a host or for other usages than a server's."""
    text, asked = string(given), mapping(options)
    found = _read(text)
    return _judged(found, wanted(asked, m[NOW]), records.certificate) if found else [False, []]


@undefined_on(*UNREADABLE)
def parse_request(given: Any) -> Any:
    """A request for a certificate (PKCS #10)."""
    return records.request(reading.request(string(given)))


@undefined_on(*UNREADABLE)
def parse_keypair(certificate: Any, key: Any) -> Any:
    """A chain of certificates with the private key of its first one, each in PEM or in base64."""
    chain, private = reading.pair(string(certificate), string(key))
    return {
        "Certificate": [base64.b64encode(content).decode() for content in chain],
        "PrivateKey": private_record(private),
        "Leaf": records.certificate(x509.load_der_x509_certificate(chain[0])),
        **dict.fromkeys(("OCSPStaple", "SignedCertificateTimestamps", "SupportedSignatureAlgorithms")),
    }


def _read(given: str) -> list[x509.Certificate]:
    """Certificates, or none where one of them cannot be read."""
    try:
        return reading.certificates(given)
    except UNREADABLE:
        return []


def _judged(found: list[x509.Certificate], asked: Wanted, show: Callable[[x509.Certificate], Any]) -> list[Any]:
    try:
        chain = verified(found, asked)
        return [False, []] if chain is None else [True, list(map(show, chain))]
    except UNREADABLE:
        return [False, []]  # something that Go does not know


def _with_uris(certificate: x509.Certificate) -> dict[str, Any]:
    return {**records.certificate(certificate), "URIStrings": records.uris(certificate)}


IMPURE = {
    "crypto.x509.parse_and_verify_certificates": "clock",
    "crypto.x509.parse_and_verify_certificates_with_options": "clock",
}
BUILTINS: dict[str, Callable[..., Any]] = {
    "crypto.x509.parse_certificates": parse_certificates,
    "crypto.x509.parse_and_verify_certificates": parse_and_verify,
    "crypto.x509.parse_and_verify_certificates_with_options": parse_and_verify_with_options,
    "crypto.x509.parse_certificate_request": parse_request,
    "crypto.x509.parse_keypair": parse_keypair,
}
