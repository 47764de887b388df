"""Workloads, as SPIFFE names them. An *id* is `spiffe://trust-domain/path`; an *SVID* proves it, as a certificate or as
a token; a *bundle* holds the authorities of one trust domain, from a file or from an agent's Workload API.
"""

from gateway.identity.spiffe.bundles import Bundle, Revoked, read_bundle
from gateway.identity.spiffe.ids import SpiffeId, is_trust_domain, spiffe_id, workload_id
from gateway.identity.spiffe.jwt_svid import verify_jwt_svid
from gateway.identity.spiffe.x509_svid import x509_svid

__all__ = [
    "Bundle",
    "Revoked",
    "SpiffeId",
    "is_trust_domain",
    "read_bundle",
    "spiffe_id",
    "verify_jwt_svid",
    "workload_id",
    "x509_svid",
]
