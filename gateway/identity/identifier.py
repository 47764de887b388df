"""Identification: credentials in, a principal or a refusal out. Verified tokens are remembered until they end."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace

import msgspec
from prometheus_client import Counter

from gateway.config import Identity, TrustDomain
from gateway.identity import client_certificate
from gateway.identity.access_token import Trust, verify
from gateway.identity.client_certificate import ClientCertificate
from gateway.identity.credentials import Credentials
from gateway.identity.jwks import KeySet, UnknownKey
from gateway.identity.jws import read
from gateway.identity.refusal import Refusal
from gateway.identity.spiffe import Bundle, x509_svid
from policy import Principal

_REFUSED = Counter("portcullis_gateway_identity_refused_total", "Credentials refused", ["error"])
_REMEMBERED = 100_000  # verified tokens; the oldest is forgotten, and verified again when it comes back


class Identifier:
    """Turns credentials into principals. Does no I/O: keys are put in, time is passed in."""

    def __init__(self, settings: Identity) -> None:
        self._settings = settings
        self._trusted = {issuer.issuer: Trust(issuer, KeySet(), (issuer.audience,)) for issuer in settings.issuers}
        # Until `put_bundles` a domain with a bundle vouches for nobody; one without leaves it to the edge.
        self._bundles: dict[str, Bundle | None] = {
            domain.name: Bundle() if _has_bundle(domain) else None for domain in settings.trust_domains
        }
        self._remembered: dict[Credentials, Principal] = {}

    def put_keys(self, issuer: str, keys: KeySet) -> None:
        """Replace an issuer's keys; what was verified with others must be verified again."""
        known = self._trusted[issuer]
        if known.keys == keys:
            return
        self._trusted[issuer] = replace(known, keys=keys)
        self._remembered.clear()

    def put_bundles(self, bundles: Mapping[str, Bundle]) -> None:
        """Replace the trust domains' bundles; what was verified with others must be verified again."""
        self._bundles = {name: bundles.get(name) for name in self._bundles}
        self._remembered.clear()

    def identify(self, credentials: Credentials, now: float) -> Principal | Refusal | UnknownKey:
        """Who shows these credentials at `now` (Unix seconds)."""
        known = self._remembered.get(credentials)
        if known is not None and now < known.expires:
            return known
        answer = self._examine(credentials, now)
        if isinstance(answer, Principal):
            self._remember(credentials, answer)
        elif isinstance(answer, Refusal):
            _REFUSED.labels(answer.error or "no_credentials").inc()
        return answer

    def _examine(self, credentials: Credentials, now: float) -> Principal | Refusal | UnknownKey:
        certificate = (
            client_certificate.parse(credentials.client_certificate) if credentials.client_certificate else None
        )
        if isinstance(certificate, Refusal):
            return certificate
        if credentials.authorization:
            return self._bearer(credentials.authorization, certificate, now)
        return x509_svid(certificate, self._bundles, now) if certificate else Refusal("", "no credentials")

    def _bearer(
        self, authorization: str, certificate: ClientCertificate | None, now: float
    ) -> Principal | Refusal | UnknownKey:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return Refusal("", "another scheme than Bearer")
        if not token or "," in token or " " in token:
            return Refusal("invalid_request", "not one bearer token")
        jws = read(token)
        if isinstance(jws, str):
            return Refusal("invalid_token", jws)
        principal = verify(jws, self._trusted, self._settings.max_chain, now)
        return _bound(principal, certificate) if isinstance(principal, Principal) else principal

    def _remember(self, credentials: Credentials, principal: Principal) -> None:
        if len(self._remembered) >= _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[credentials] = principal


def _has_bundle(domain: TrustDomain) -> bool:
    return bool(domain.bundle or domain.workload_api)


def _bound(principal: Principal, certificate: ClientCertificate | None) -> Principal | Refusal:
    """Check sender constraint (RFC 8705 section 3.1); a constraint that we cannot check is a refusal."""
    confirmation = principal.attributes.get("cnf")
    if confirmation is None:
        return principal
    thumbprint = urlsafe_b64encode(certificate.sha256).rstrip(b"=").decode() if certificate else None
    if set(confirmation) != {"x5t#S256"} or confirmation["x5t#S256"] != thumbprint:
        return Refusal("invalid_token", "the token is bound to another sender")
    return msgspec.structs.replace(principal, proof=(*principal.proof, "mtls"))
