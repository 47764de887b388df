"""Certificates and requests for them in the shape of Go's structures, which is the shape that OPA shows."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import SignatureAlgorithmOID as Signed

from policy.rego.builtins.certificates import extensions
from policy.rego.builtins.certificates.names import alternative, distinguished, numbers, values
from policy.rego.builtins.der import Element, elements
from policy.rego.builtins.key_records import OTHER, public_record

_VERSION, _EXTENSIONS, _ATTRIBUTES = 0xA0, 0xA3, 0xA0  # tags
_SIGNATURES = {
    Signed.RSA_WITH_MD5: 2,
    Signed.RSA_WITH_SHA1: 3,
    Signed.RSA_WITH_SHA256: 4,
    Signed.RSA_WITH_SHA384: 5,
    Signed.RSA_WITH_SHA512: 6,
    Signed.DSA_WITH_SHA1: 7,
    Signed.DSA_WITH_SHA256: 8,
    Signed.ECDSA_WITH_SHA1: 9,
    Signed.ECDSA_WITH_SHA256: 10,
    Signed.ECDSA_WITH_SHA384: 11,
    Signed.ECDSA_WITH_SHA512: 12,
    Signed.ED25519: 16,
}
_REQUESTED = bytes.fromhex("2a864886f70d01090e")  # 1.2.840.113549.1.9.14
_PSS = {"sha256": 13, "sha384": 14, "sha512": 15}


def certificate(given: x509.Certificate) -> dict[str, Any]:
    """A certificate. Raises what reading one of its parts may raise."""
    signed = elements(given.tbs_certificate_bytes)[0].parts()
    if signed[0].tag == _VERSION:
        signed = signed[1:]
    _, _, issuer, _, subject, key = signed[:6]
    written = [one for part in signed[6:] if part.tag == _EXTENSIONS for one in part.parts()[0].parts()]
    return {
        **_common(given, subject, key),
        "Raw": _base64(given.public_bytes(Encoding.DER)),
        "RawTBSCertificate": _base64(given.tbs_certificate_bytes),
        "RawIssuer": _base64(issuer.whole),
        "Version": given.version.value + 1,
        "SerialNumber": given.serial_number,
        "Issuer": distinguished(given.issuer),
        "NotBefore": _time(given.not_valid_before_utc),
        "NotAfter": _time(given.not_valid_after_utc),
        **extensions.fields(given.extensions),
        **_written(given.extensions, written),
    }


def uris(given: x509.Certificate) -> list[str] | None:
    """The subject's URIs as they are written."""
    try:
        names = given.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return values(names, x509.UniformResourceIdentifier)


def request(given: x509.CertificateSigningRequest) -> dict[str, Any]:
    """A request for a certificate (PKCS #10). Raises what reading one of its parts may raise."""
    _, subject, key, *rest = elements(given.tbs_certrequest_bytes)[0].parts()
    attributes = [one.parts() for part in rest if part.tag == _ATTRIBUTES for one in part.parts()]
    written = [one for name, held in attributes if name.content == _REQUESTED for one in held.parts()[0].parts()]
    found = _written(given.extensions, written)
    names = [one.value for one in given.extensions if isinstance(one.value, x509.SubjectAlternativeName)]
    return {
        **_common(given, subject, key),
        "Raw": _base64(given.public_bytes(Encoding.DER)),
        "RawTBSCertificateRequest": _base64(given.tbs_certrequest_bytes),
        "Version": 0,
        **alternative(names[0] if names else ()),
        **found,
        "Attributes": _requested(found["Extensions"]),
    }


def _requested(shown: list[dict[str, Any]] | None) -> list[Any] | None:
    """The extensions that are asked for, once more: where one is critical, Go takes that word for the value."""
    if shown is None:
        return None
    asked = [{"Type": one["Id"], "Value": one["Critical"] or one["Value"]} for one in shown]
    return [{"Type": [1, 2, 840, 113549, 1, 9, 14], "Value": [asked]}]


def _common(given: Any, subject: Element, key: Element) -> dict[str, Any]:
    kind, public = _public(given)
    return {
        "RawSubject": _base64(subject.whole),
        "RawSubjectPublicKeyInfo": _base64(key.whole),
        "Subject": distinguished(given.subject),
        "PublicKeyAlgorithm": kind,
        "PublicKey": public,
        "Signature": _base64(given.signature),
        "SignatureAlgorithm": _algorithm(given),
        "ExtraExtensions": None,
    }


def _written(found: x509.Extensions, written: list[Element]) -> dict[str, Any]:
    """Extensions as they are written: the last part of each is an octet string."""
    shown = [
        {"Id": numbers(one.oid), "Critical": one.critical, "Value": _base64(element.parts()[-1].content)}
        for one, element in zip(found, written, strict=True)
    ]
    return {"Extensions": shown or None}


def _public(given: Any) -> tuple[int, Any]:
    try:
        return public_record(given.public_key())
    except UnsupportedAlgorithm:
        return OTHER, None


def _algorithm(given: Any) -> int:
    if given.signature_algorithm_oid == Signed.RSASSA_PSS:
        return _PSS.get(given.signature_hash_algorithm.name, 0)
    return _SIGNATURES.get(given.signature_algorithm_oid, 0)


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
