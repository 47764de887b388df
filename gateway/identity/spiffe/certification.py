"""Certification paths (RFC 5280, section 6): whether certain authorities, and no others, vouch for a certificate."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from gateway.identity.client_certificate import UNREADABLE

_DEEPEST = 4  # certificates between a leaf and its authority


def path_to(
    authorities: Sequence[x509.Certificate], chain: Sequence[x509.Certificate], now: float
) -> Sequence[x509.Certificate] | str:
    """The certificates from the leaf of a chain up to the one of the authorities that vouches for it at `now` (Unix
    seconds); or why none does. What else stands in the chain may be between them.
    """
    if not authorities:
        return "it has no authority, or none that is known yet"
    time = datetime.datetime.fromtimestamp(now, datetime.UTC).replace(tzinfo=None)
    builder = PolicyBuilder().store(Store(list(authorities))).time(time).max_chain_depth(_DEEPEST)
    verifier = builder.extension_policies(ca_policy=_CA, ee_policy=ExtensionPolicy.permit_all()).build_client_verifier()
    try:
        return verifier.verify(chain[0], list(chain[1:])).chain
    except (VerificationError, *UNREADABLE) as error:
        return str(error)


def _is_authority(policy: Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("a certificate between is no authority's")


def _may_sign(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority's key is not for certificates")


_CA = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
)
