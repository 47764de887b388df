"""A token in the Authorization header: who it speaks for, and what its sender must prove beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from gateway.identity.access_token import Trust, verify
from gateway.identity.client_certificate import ClientCertificate
from gateway.identity.dpop import Binding, binding
from gateway.identity.jwks import UnknownKey
from gateway.identity.jws import Jws, object_of, read
from gateway.identity.refusal import Refusal
from gateway.identity.spiffe import Bundle, verify_jwt_svid
from policy import Principal


@dataclass(frozen=True, slots=True)
class Opaque:
    """Only its issuer can read the token: it is to be asked, and the token shown again."""

    issuer: str
    token: str
    otherwise: Refusal = field(default=Refusal("invalid_token", "the issuer has not answered"), compare=False)


@dataclass(frozen=True, slots=True)
class Verified:
    """Who a token speaks for, and the key that its sender must prove to hold, if any."""

    principal: Principal
    bound: Binding | None = None


class Answers(Protocol):
    """What an issuer has said of its opaque tokens."""

    def known(self, token: str, now: float) -> Principal | Refusal | None:
        """Its answer, if it still counts at `now` (Unix seconds)."""
        ...


@dataclass(slots=True)
class Believed:
    """Whose word counts: issuers with their keys, issuers that are asked, trust domains with their authorities."""

    issuers: dict[str, Trust]
    answers: Mapping[str, Answers]  # by issuer
    trust_domains: Mapping[str, Bundle]
    audience: str  # what a JWT-SVID must be meant for
    longest_chain: int


Answer = Verified | Refusal | UnknownKey | Opaque


def shown(authorization: str, certificate: ClientCertificate | None, believed: Believed, now: float) -> Answer:
    """Who an Authorization header speaks for at `now` (Unix seconds)."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() not in ("bearer", "dpop"):
        return Refusal("", "another scheme than Bearer or DPoP")
    if not token or "," in token or " " in token:
        return Refusal("invalid_request", "not one token")
    principal = spoken_for(token, believed, now)
    if not isinstance(principal, Principal):
        return principal
    return _bound(principal, scheme, token, certificate)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed a token, by which key; or the token itself, where only its issuer can read it."""

    issuer: str
    thumbprint: str = ""
    opaque: str = ""


def signer(authorization: str, believed: Believed) -> Signer | None:
    """Who signed the token in an Authorization header that was believed a moment ago; None if none is there."""
    token = authorization.partition(" ")[2]
    for issuer in believed.answers:
        if token and _is_read_by(issuer, token, believed):
            return Signer(issuer, opaque=token)
    jws = read(token)
    if isinstance(jws, str):
        return None
    if believed.audience and believed.trust_domains and _names_workload(jws):
        name = str(_claim(jws, "sub")).removeprefix("spiffe://").partition("/")[0]
        key = believed.trust_domains[name].keys.get(jws.kid) if name in believed.trust_domains else None
    else:
        name = str(_claim(jws, "iss"))
        key = believed.issuers[name].keys.key(jws.kid, jws.algorithm) if name in believed.issuers else None
    return Signer(name, key.thumbprint) if key else None


def vouches(issuer: str, thumbprint: str, believed: Believed) -> bool:
    """Whether a key is still one of an issuer's, or of a trust domain's."""
    if issuer in believed.issuers:
        return believed.issuers[issuer].keys.holds(thumbprint)
    bundle = believed.trust_domains.get(issuer)
    return bundle is not None and any(key.thumbprint == thumbprint for key in bundle.keys.values())


def spoken_for(token: str, believed: Believed, now: float) -> Principal | Refusal | UnknownKey | Opaque:
    """Who a token speaks for at `now` (Unix seconds), whoever sends it: what binds it to a sender is not looked at."""
    for issuer, answers in believed.answers.items():
        if _is_read_by(issuer, token, believed):
            return answers.known(token, now) or Opaque(issuer, token)
    jws = read(token)
    if isinstance(jws, str):
        return Refusal("invalid_token", jws)
    if believed.audience and believed.trust_domains and _names_workload(jws):
        return verify_jwt_svid(token, believed.trust_domains, believed.audience, now)
    return verify(jws, believed.issuers, believed.longest_chain, now)


def _is_read_by(issuer: str, token: str, believed: Believed) -> bool:
    """Whether an issuer is to be asked about a token: one that is no JWT, or any of its own where it says so."""
    if token.count(".") != 2:
        return True
    settings = believed.issuers[issuer].issuer.introspection
    jws = read(token) if settings and settings.jwts else ""
    return isinstance(jws, Jws) and _claim(jws, "iss") == issuer


def _names_workload(jws: Jws) -> bool:
    """JWT-SVID section 3: the subject is a SPIFFE id. The issuer's name is nobody's whom we know."""
    sub = _claim(jws, "sub")
    return isinstance(sub, str) and sub.startswith("spiffe://")


def _claim(jws: Jws, name: str) -> Any:
    try:
        return object_of(jws.payload).get(name)
    except ValueError:
        return None


def _bound(principal: Principal, scheme: str, token: str, certificate: ClientCertificate | None) -> Verified | Refusal:
    """Check sender constraints (RFC 8705 section 3.1, RFC 9449); one that we cannot check is a refusal."""
    confirmation = principal.attributes.get("cnf")
    bound = binding(scheme, token, confirmation)
    if bound is None and str(principal.attributes.get("typ")).lower() == "dpop":  # as Keycloak says it
        return Refusal("invalid_token", "a DPoP token that is not bound to a key")
    if isinstance(bound, Refusal):
        return bound
    if confirmation is None:
        return Verified(principal)
    if not isinstance(confirmation, dict) or not confirmation or not confirmation.keys() <= {"jkt", "x5t#S256"}:
        return Refusal("invalid_token", "the token is bound in a way that is not known here")
    if "x5t#S256" not in confirmation:
        return Verified(principal, bound)
    if certificate is None or confirmation["x5t#S256"] != certificate.thumbprint:
        return Refusal("invalid_token", "the token is bound to another sender")
    return Verified(msgspec.structs.replace(principal, proof=(*principal.proof, "mtls")), bound)
