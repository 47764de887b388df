"""The SPIFFE Workload API: an agent on this host hands out the bundles of its trust domain and of those that it is
federated with.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from spiffe import JwtBundleSet, TrustDomain, WorkloadApiClient, X509BundleSet
from spiffe.errors import PySpiffeError

from gateway.identity.spiffe.bundles import Bundle, jwt_authorities, x509_authorities


def fetch_bundles(socket: Path, names: Iterable[str], timeout: float = 2.0) -> dict[str, Bundle] | str:
    """The bundles of the trust domains `names`, as the agent behind a Unix socket knows them now; or why there is no
    answer. A domain that the agent does not know has an empty bundle. Blocks, for `timeout` seconds a call.
    """
    try:
        with WorkloadApiClient(f"unix:{socket.absolute()}", timeout) as agent:
            certificates, tokens = agent.fetch_x509_bundles(), agent.fetch_jwt_bundles()
        return {name: _bundle(TrustDomain(name), certificates, tokens) for name in names}
    except (PySpiffeError, ValueError) as error:
        return f"{socket}: {error}"


def _bundle(domain: TrustDomain, certificates: X509BundleSet, tokens: JwtBundleSet) -> Bundle:
    x509, jwt = certificates.get_bundle_for_trust_domain(domain), tokens.get_bundle_for_trust_domain(domain)
    entries = (_jwk(kid, key) for kid, key in sorted(jwt.jwt_authorities.items())) if jwt else ()
    return Bundle(x509_authorities(x509.x509_authorities) if x509 else (), jwt_authorities(entries))


def _jwk(kid: str, key: Any) -> dict[str, Any]:
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else ECAlgorithm
    return {**kind.to_jwk(key, as_dict=True), "kid": kid}
