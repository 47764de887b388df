"""JWT-SVIDs: a bearer token that names a workload, signed by an authority of its trust domain and of no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.identity.jws import Jws, object_of, read
from gateway.identity.refusal import Refusal
from gateway.identity.spiffe.bundles import Bundle
from gateway.identity.spiffe.ids import SpiffeId, workload_id
from policy import Principal

# JWT-SVID, section 2.1: a family each of RSA and EC, and nothing symmetric.
ALGORITHMS = frozenset(f"{family}{size}" for family in ("RS", "ES", "PS") for size in (256, 384, 512))
_TYPES = ("", "jwt", "jose")  # section 2.3
_FARTHEST = 86_400.0  # seconds that a token may live beyond now
_LAST = 2.0**53  # seconds; beyond it a float no longer counts them
_LONGEST_ID = 256  # characters of `jti`


def verify_jwt_svid(
    token: str, bundles: Mapping[str, Bundle], audience: str, now: float, leeway: float = 10.0
) -> Principal | Refusal:
    """The workload that a JWT-SVID names at `now` (Unix seconds; clocks may differ by `leeway` seconds).

    `bundles`: those of the trust domains that are trusted, by name. `audience`: what `aud` must hold.
    """
    jws = read(token)
    if isinstance(jws, str):
        return _refused(jws)
    if wrong := _wrong_header(jws):
        return _refused(wrong)
    try:
        claims = object_of(jws.payload)
    except ValueError as error:
        return _refused(f"claims: {error}")
    name = _name(claims.get("sub"))
    if isinstance(name, str):
        return _refused(f"sub: {name}")
    if "cnf" in claims:  # no JWT-SVID has one, and whose sender we do not look at must not be bound to it
        return _refused("the token is bound to a sender")
    if wrong := _wrong_signature(jws, bundles.get(name.trust_domain)) or _wrong(claims, audience, now, leeway):
        return _refused(wrong)
    return _principal(name, claims, leeway)


def _wrong_header(jws: Jws) -> str:
    if jws.algorithm not in ALGORITHMS:
        return f"alg {jws.algorithm!r} is not a JWT-SVID's"
    if jws.typ not in _TYPES:
        return f"typ {jws.typ!r} is not a JWT-SVID's"
    return "" if jws.kid else "no kid"


def _name(sub: Any) -> SpiffeId | str:
    return workload_id(sub) if isinstance(sub, str) else "not a text"


def _wrong_signature(jws: Jws, bundle: Bundle | None) -> str:
    if bundle is None:
        return "its trust domain is not trusted, or its bundle is not known yet"
    key = bundle.keys.get(jws.kid)
    if key is None:
        return f"its trust domain has no key {jws.kid!r}"
    return "" if jws.signed_by(key) else "not signed by its trust domain"


def _wrong(claims: dict[str, Any], audience: str, now: float, leeway: float) -> str:
    expires, begins, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None or begins is None or issued is None:
        return "exp, nbf or iat is no time"
    checks = (
        (audience in _audiences(claims.get("aud")), "audience"),
        ("exp" in claims, "no expiry"),
        (now < expires + leeway, "expired"),
        (expires < now + _FARTHEST, "expires too far in the future"),
        (begins <= now + leeway, "not valid yet"),
        (issued <= now + leeway, "issued in the future"),
    )
    return next((reason for holds, reason in checks if not holds), "")


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name, 0)
    return float(value) if type(value) in (int, float) and abs(value) < _LAST else None


def _audiences(aud: Any) -> list[Any]:
    return aud if isinstance(aud, list) else [aud]


def _principal(name: SpiffeId, claims: dict[str, Any], leeway: float) -> Principal:
    token = claims.get("jti")
    return Principal(
        id=f"workload:{name}",
        kind="workload",
        issuer=name.trust_domain,
        proof=("bearer", "jwt-svid"),
        authenticated=float(claims.get("iat", 0)),
        issued=float(claims.get("iat", 0)),
        expires=float(claims["exp"]) + leeway,
        token=token if isinstance(token, str) and len(token) <= _LONGEST_ID else "",
    )


def _refused(detail: str) -> Refusal:
    return Refusal("invalid_token", detail)
