"""Verifying chains of certificates (RFC 5280), through `cryptography`.

It is stricter than Go, and so than OPA: with RSA keys below 2048 bits, Ed25519 or P-224 keys, name constraints on URIs
or constraints on policies a chain may verify there and does not here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from policy.rego.builtins.certificates.extensions import USAGES
from policy.rego.builtins.certificates.names import uri, values
from policy.rego.builtins.operands import integer
from policy.rego.builtins.partial import string
from policy.rego.values import UNDEFINED, RegoSet

MAX_CERTIFICATES = 100
_ANY, _SERVER = 0, 1
_NAMES = (
    *("Any", "ServerAuth", "ClientAuth", "CodeSigning", "EmailProtection", "IPSECEndSystem", "IPSECTunnel"),
    *("IPSECUser", "TimeStamping", "OCSPSigning", "MicrosoftServerGatedCrypto", "NetscapeServerGatedCrypto"),
    *("MicrosoftCommercialCodeSigning", "MicrosoftKernelCodeSigning"),
)
_USAGES = {f"KeyUsage{name}": number for number, name in enumerate(_NAMES)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAF = ExtensionPolicy.permit_all()
_HOST = ExtensionPolicy.permit_all().require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
_CA = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a chain must be good for: when, in nanoseconds since 1970; as which host, "" for any; one of some usages."""

    time: int
    host: str = ""
    usages: tuple[int, ...] = (_SERVER,)


def wanted(options: dict[Any, Any], now: int) -> Wanted:
    """What options ask for. Raises ValueError."""
    for name, value in options.items():
        if type(name) is str and name not in ("DNSName", "CurrentTime", "MaxConstraintComparisons", "KeyUsages"):
            raise ValueError(f"unknown option {name}")
        if name in ("CurrentTime", "MaxConstraintComparisons") and integer(value) is UNDEFINED:
            raise ValueError(f"{name} is an integer")
    usages = options.get("KeyUsages", [])
    if type(usages) not in (list, RegoSet):
        raise ValueError("KeyUsages is an array or a set")
    numbers = tuple(_usage(one.strip('"')) for one in usages if type(one) is str)
    time, host = integer(options.get("CurrentTime", now)), string(options.get("DNSName", "")).strip('"')
    return Wanted(time, host, numbers or (_SERVER,))


def verified(certificates: Sequence[x509.Certificate], asked: Wanted) -> list[x509.Certificate] | None:
    """The chain from the last certificate to the first, which is trusted, through others of these, or None.

    Raises what reading a certificate may raise.
    """
    if not 2 <= len(certificates) <= MAX_CERTIFICATES:
        return None
    root, *others, leaf = certificates
    try:
        moment = _EPOCH + timedelta(seconds=asked.time // 10**9)
        policy = PolicyBuilder().store(Store([root])).time(moment).max_chain_depth(MAX_CERTIFICATES)
        chain = _chain(policy, asked.host, leaf, others)
    except (VerificationError, ValueError, OverflowError):
        return None
    sound = _usable(chain, asked.usages) and all(map(_may_sign, chain[1:])) and _constrainable(chain)
    return chain if sound else None


def _chain(policy: PolicyBuilder, host: str, leaf: x509.Certificate, others: list[x509.Certificate]) -> list[Any]:
    policy = policy.extension_policies(ca_policy=_CA, ee_policy=_HOST if host else _LEAF)
    if host:
        return policy.build_server_verifier(_subject(host)).verify(leaf, others)
    return policy.build_client_verifier().verify(leaf, others).chain


def _subject(host: str) -> x509.DNSName | x509.IPAddress:
    address = _address(host.removeprefix("[").removesuffix("]"))
    return x509.DNSName(host.removesuffix(".")) if address is None else x509.IPAddress(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _usage(name: str) -> int:
    if name not in _USAGES:
        raise ValueError(f"unknown key usage {name}")
    return _USAGES[name]


def _usable(chain: list[x509.Certificate], usages: tuple[int, ...]) -> bool:
    """Whether every certificate of the chain allows one and the same of the usages."""
    left = set(usages)
    for certificate in chain:
        allowed = _allowed(certificate)
        left = left if _ANY in allowed else left & allowed
    return bool(left) or _ANY in usages


def _allowed(certificate: x509.Certificate) -> set[int]:
    """Usages that a certificate allows; any without such an extension."""
    usages = _extension(certificate, x509.ExtendedKeyUsage)
    return {_ANY} if usages is None else {USAGES[usage] for usage in usages if usage in USAGES}


def _may_sign(certificate: x509.Certificate) -> bool:
    usage = _extension(certificate, x509.KeyUsage)
    return usage is None or usage.key_cert_sign


def _constrainable(chain: list[x509.Certificate]) -> bool:
    """Whether each URI below a certificate with name constraints has a host name to hold against them, as in Go."""
    constrained = [at for at, one in enumerate(chain) if _extension(one, x509.NameConstraints) is not None]
    below = chain[: constrained[-1]] if constrained else []
    found = (
        values(_extension(one, x509.SubjectAlternativeName) or (), x509.UniformResourceIdentifier) for one in below
    )
    return all(_has_host_name(text) for texts in found for text in texts or ())


def _has_host_name(text: str) -> bool:
    host = uri(text)["Host"]
    name = "" if host.startswith("[") else host.partition(":")[0]
    return bool(name) and _address(name) is None


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    """The value of one extension, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
