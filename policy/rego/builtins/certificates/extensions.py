"""Extensions of certificates, in Go's shape."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from policy.rego.builtins.certificates.names import alternative, network, numbers, values

_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_CA_USAGES = ("key_cert_sign", "crl_sign")
_AGREEMENT_USAGES = ("encipher_only", "decipher_only")
USAGES: dict[x509.ObjectIdentifier, int] = {
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: 0,
    ExtendedKeyUsageOID.SERVER_AUTH: 1,
    ExtendedKeyUsageOID.CLIENT_AUTH: 2,
    ExtendedKeyUsageOID.CODE_SIGNING: 3,
    ExtendedKeyUsageOID.EMAIL_PROTECTION: 4,
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.5"): 5,  # the three of IPsec: end system, tunnel, user
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.6"): 6,
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7"): 7,
    ExtendedKeyUsageOID.TIME_STAMPING: 8,
    ExtendedKeyUsageOID.OCSP_SIGNING: 9,
    x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"): 10,  # server gated crypto, Microsoft's and Netscape's
    x509.ObjectIdentifier("2.16.840.1.113730.4.1"): 11,
    x509.ObjectIdentifier("1.3.6.1.4.1.311.2.1.22"): 12,  # Microsoft's commercial and kernel code signing
    x509.ObjectIdentifier("1.3.6.1.4.1.311.61.1.1"): 13,
}
_ABSENT: dict[str, Any] = {
    **dict.fromkeys(("AuthorityKeyId", "CRLDistributionPoints", "ExtKeyUsage", "IssuingCertificateURL", "OCSPServer")),
    **dict.fromkeys(("Policies", "PolicyIdentifiers", "PolicyMappings", "SubjectKeyId", "UnknownExtKeyUsage")),
    **dict.fromkeys(f"{kind}{names}" for kind in ("Permitted", "Excluded") for names in ("DNSDomains", "IPRanges")),
    **dict.fromkeys(
        f"{kind}{names}" for kind in ("Permitted", "Excluded") for names in ("EmailAddresses", "URIDomains")
    ),
    **dict.fromkeys(("BasicConstraintsValid", "IsCA", "MaxPathLenZero", "PermittedDNSDomainsCritical"), False),
    **dict.fromkeys(("InhibitAnyPolicyZero", "InhibitPolicyMappingZero", "RequireExplicitPolicyZero"), False),
    **dict.fromkeys(("KeyUsage", "MaxPathLen", "InhibitAnyPolicy", "InhibitPolicyMapping", "RequireExplicitPolicy"), 0),
    **alternative(()),
}


def fields(extensions: Iterable[x509.Extension[Any]]) -> dict[str, Any]:
    """The fields of a certificate that come from extensions. Raises ValueError."""
    record, unhandled = dict(_ABSENT), []
    for one in extensions:
        found = _HANDLERS[type(one.value)](one.value) if type(one.value) in _HANDLERS else {}
        if one.critical and type(one.value) in _NEVER_CRITICAL:
            raise ValueError("an extension that must not be critical")
        if one.critical and (not found or _partly(one.value)):
            unhandled.append(numbers(one.oid))
        if isinstance(one.value, x509.NameConstraints):
            found["PermittedDNSDomainsCritical"] = one.critical
        record |= found
    return {**record, "UnhandledCriticalExtensions": unhandled or None}


def _partly(value: Any) -> bool:
    """Whether some names in it are of kinds that Go does not read."""
    if isinstance(value, x509.SubjectAlternativeName):
        return not any(alternative(value).values())
    return isinstance(value, x509.NameConstraints) and not all(
        isinstance(name, _CONSTRAINED) for name in (*(value.permitted_subtrees or ()), *(value.excluded_subtrees or ()))
    )


def _key_usage(value: x509.KeyUsage) -> dict[str, Any]:
    named = (*_USAGES, *_CA_USAGES, *(_AGREEMENT_USAGES if value.key_agreement else ()))
    return {"KeyUsage": sum(1 << bit for bit, name in enumerate(named) if getattr(value, name))}


def _basic_constraints(value: x509.BasicConstraints) -> dict[str, Any]:
    length = -1 if value.path_length is None else value.path_length
    return {"BasicConstraintsValid": True, "IsCA": value.ca, "MaxPathLen": length, "MaxPathLenZero": length == 0}


def _extended_usage(value: x509.ExtendedKeyUsage) -> dict[str, Any]:
    unknown = [numbers(oid) for oid in value if oid not in USAGES]
    return {
        "ExtKeyUsage": [USAGES[oid] for oid in value if oid in USAGES] or None,
        "UnknownExtKeyUsage": unknown or None,
    }


def _name_constraints(value: x509.NameConstraints) -> dict[str, Any]:
    return _subtrees("Permitted", value.permitted_subtrees or ()) | _subtrees("Excluded", value.excluded_subtrees or ())


def _subtrees(kind: str, names: Iterable[x509.GeneralName]) -> dict[str, Any]:
    given = list(names)
    return {
        f"{kind}DNSDomains": values(given, x509.DNSName),
        f"{kind}IPRanges": [network(block) for block in values(given, x509.IPAddress) or ()] or None,
        f"{kind}EmailAddresses": values(given, x509.RFC822Name),
        f"{kind}URIDomains": values(given, x509.UniformResourceIdentifier),
    }


def _information_access(value: x509.AuthorityInformationAccess) -> dict[str, Any]:
    def located(method: x509.ObjectIdentifier) -> list[Any] | None:
        return values(
            (one.access_location for one in value if one.access_method == method), x509.UniformResourceIdentifier
        )

    issuers = located(AuthorityInformationAccessOID.CA_ISSUERS)
    return {"OCSPServer": located(AuthorityInformationAccessOID.OCSP), "IssuingCertificateURL": issuers}


def _distribution_points(value: x509.CRLDistributionPoints) -> dict[str, Any]:
    names = [name for point in value for name in point.full_name or ()]
    return {"CRLDistributionPoints": values(names, x509.UniformResourceIdentifier)}


def _policies(value: x509.CertificatePolicies) -> dict[str, Any]:
    oids = [one.policy_identifier for one in value]
    return {"Policies": [oid.dotted_string for oid in oids], "PolicyIdentifiers": [numbers(oid) for oid in oids]}


def _policy_constraints(value: x509.PolicyConstraints) -> dict[str, Any]:
    return _limit("RequireExplicitPolicy", value.require_explicit_policy) | _limit(
        "InhibitPolicyMapping", value.inhibit_policy_mapping
    )


def _limit(name: str, value: int | None) -> dict[str, Any]:
    return {name: value or 0, f"{name}Zero": value == 0}


def _identifier(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


_CONSTRAINED = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
_NEVER_CRITICAL = (x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier, x509.AuthorityInformationAccess)
_HANDLERS: dict[type, Callable[[Any], dict[str, Any]]] = {
    x509.KeyUsage: _key_usage,
    x509.BasicConstraints: _basic_constraints,
    x509.ExtendedKeyUsage: _extended_usage,
    x509.SubjectAlternativeName: alternative,
    x509.NameConstraints: _name_constraints,
    x509.AuthorityInformationAccess: _information_access,
    x509.CRLDistributionPoints: _distribution_points,
    x509.CertificatePolicies: _policies,
    x509.PolicyConstraints: _policy_constraints,
    x509.InhibitAnyPolicy: lambda value: _limit("InhibitAnyPolicy", value.skip_certs),
    x509.SubjectKeyIdentifier: lambda value: {"SubjectKeyId": _identifier(value.digest)},
    x509.AuthorityKeyIdentifier: lambda value: {"AuthorityKeyId": _identifier(value.key_identifier)},
}
