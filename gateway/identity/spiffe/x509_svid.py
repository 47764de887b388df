"""X.509-SVIDs: a client certificate that names a workload. The edge verified its chain against the bundle of the trust
domain that it claims; here it is read again for what it says of itself (X.509-SVID, sections 2 to 5).
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.identity.client_certificate import ClientCertificate
from gateway.identity.refusal import Refusal
from gateway.identity.spiffe.ids import workload_id
from policy import Principal


def x509_svid(certificate: ClientCertificate, trust_domains: Collection[str], now: float) -> Principal | Refusal:
    """The workload that a certificate names at `now` (Unix seconds), if it is of one of the trust domains."""
    if len(certificate.uris) != 1:
        return _refused(f"the certificate has {len(certificate.uris)} URI names, a workload's has one")
    name = workload_id(certificate.uris[0])
    if isinstance(name, str):
        return _refused(f"the certificate's name: {name}")
    if name.trust_domain not in trust_domains:
        return _refused(f"trust domain {name.trust_domain} is not trusted")
    if certificate.unfit:
        return _refused(certificate.unfit)
    if now < certificate.begins:
        return _refused("the certificate is not valid yet")
    if now >= certificate.expires:
        return _refused("the certificate has expired")
    return Principal(
        id=f"workload:{name}",
        kind="workload",
        issuer=name.trust_domain,
        proof=("mtls", "x509-svid"),
        authenticated=now,
        expires=certificate.expires,
    )


def _refused(detail: str) -> Refusal:
    return Refusal("invalid_token", detail)
