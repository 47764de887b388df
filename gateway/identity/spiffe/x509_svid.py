"""X.509-SVIDs: a client certificate that names a workload (X.509-SVID, sections 2 to 5).

The edge found that some authority vouches for it, of whichever trust domain. Here the one that it claims must.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.identity.client_certificate import ClientCertificate
from gateway.identity.refusal import Refusal
from gateway.identity.spiffe.bundles import Bundle
from gateway.identity.spiffe.certification import path_to
from gateway.identity.spiffe.ids import workload_id
from policy import Principal


def x509_svid(
    certificate: ClientCertificate, trust_domains: Mapping[str, Bundle | None], now: float
) -> Principal | Refusal:
    """The workload that a certificate names at `now` (Unix seconds), if an authority of its trust domain vouches
    for it. A domain without a bundle leaves that to the edge.
    """
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
    ends = _vouched_until(certificate, trust_domains[name.trust_domain], now)
    if isinstance(ends, str):
        return _refused(ends)
    return Principal(
        id=f"workload:{name}",
        kind="workload",
        issuer=name.trust_domain,
        proof=("mtls", "x509-svid"),
        authenticated=now,
        issued=certificate.begins,
        expires=ends,
    )


def _vouched_until(certificate: ClientCertificate, bundle: Bundle | None, now: float) -> float | str:
    if bundle is None:
        return certificate.expires
    path = path_to(bundle.authorities, certificate.chain, now)
    if isinstance(path, str):
        return f"its trust domain does not vouch for the certificate: {path}"
    if bundle.revoked.any_of(path):
        return "the certificate, or one that it stands on, is revoked"
    return min(each.not_valid_after_utc.timestamp() for each in path)


def _refused(detail: str) -> Refusal:
    return Refusal("invalid_token", detail)
