"""Claims are what an issuer says of a token's holder, signed or asked about: here they become a principal.

Nobody calls this before the claims are known to be the issuer's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.config import ClaimNames, Issuer
from gateway.identity.delegation import actors_of, kind_of, principal_id, subject_id
from gateway.identity.refusal import Refusal
from policy import Principal, too_deep

SUBJECT_ISSUER: Final = "sub_iss"  # in tokens of ours: who vouched for the subject
_TIMES: Final = ("exp", "iat", "nbf", "auth_time")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")  # RFC 6749 section 3.3
_LATEST: Final = 1e11  # Unix seconds; a later time is in milliseconds, or a mistake


class Claims(msgspec.Struct):
    """The claims with names of their own in RFC 9068 section 2.2, RFC 8693 and RFC 7800. Times are Unix seconds."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float = 0.0
    nbf: float = 0.0
    auth_time: float = 0.0
    acr: str = ""
    act: dict[str, Any] | None = None
    cnf: dict[str, Any] | None = None


_READ: Final = frozenset(Claims.__struct_fields__) - {"cnf"}  # cnf stays an attribute: a proof must still meet it


def principal_of(
    said: dict[str, Any],
    issuer: Issuer,
    audiences: Collection[str],
    longest_chain: int,
    now: float,
    ours: bool = False,
) -> Principal | Refusal:
    """The principal in an issuer's claims at `now` (Unix seconds). The token must be meant for one of `audiences`.

    `ours`: our own token service made it, of what another vouched for (`sub_iss`); the principal is that one's still.
    """
    if too_deep(said):
        return Refusal("invalid_token", "claims nest too deep")
    try:
        claims = msgspec.convert(said | _subject(said, issuer.claims.subject) | _times(said), Claims)
        scopes, roles, client, token = _named(said, issuer.claims)
    except ValueError as error:
        return Refusal("invalid_token", f"claims: {error}")
    audience = (claims.aud,) if isinstance(claims.aud, str) else tuple(claims.aud)
    wrong = _wrong(claims, issuer, now) or ("" if set(audience) & set(audiences) else "audience")
    # RFC 9068 section 5; Entra ID tells it by `idtyp`, and has a subject that is not the client's id.
    by_itself = bool(client) and (claims.sub == client or said.get("idtyp") == "app")
    named = subject_id(client if by_itself else claims.sub, by_itself, issuer.vouches_for)
    subject = principal_id(claims.sub, "person") if ours else named
    actors = actors_of(claims.act, issuer.issuer, longest_chain, None if ours else issuer.vouches_for)
    if wrong or subject is None:
        return Refusal("invalid_token", wrong or "sub is no usable id, or the issuer may not vouch for it")
    if isinstance(actors, Refusal):
        return actors
    return Principal(
        id=subject,
        kind=kind_of(subject),
        issuer=str(said.get(SUBJECT_ISSUER, issuer.issuer)) if ours else issuer.issuer,
        actors=actors,
        proof=("bearer",),
        assurance=claims.acr,
        authenticated=claims.auth_time,
        issued=claims.iat,
        expires=claims.exp + issuer.leeway_seconds,
        token=token,
        client=client,
        audience=audience,
        scopes=scopes,
        roles=roles,
        attributes=_rest(said, issuer.claims, {SUBJECT_ISSUER} if ours else set()),
    )


def _subject(said: dict[str, Any], name: str) -> dict[str, Any]:
    """`sub`, where it goes by another name."""
    held = claim(said, name)
    return {"sub": held} if name != "sub" and held is not None else {}


def claim(said: dict[str, Any], name: str) -> Any:
    """The claim of exactly this name, or the one that a path with dots leads to; None if there is none."""
    if name in said:
        return said[name]
    value: Any = said
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _first(said: dict[str, Any], *names: str) -> Any:
    """The first of these claims that is there: names of RFC 9068 stand in for an issuer's own, as Okta's JWTs have
    others than its introspection.
    """
    return next((value for value in (claim(said, name) for name in names) if value is not None), None)


def _times(said: dict[str, Any]) -> dict[str, float]:
    """The times, as numbers that can be compared. Raises ValueError for what is none."""
    found = {name: said[name] for name in _TIMES if name in said}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise ValueError(f"{name} is no number")
        if not 0 <= value <= _LATEST:
            raise ValueError(f"{name} is no time")
    return {name: float(value) for name, value in found.items()}


def _named(said: dict[str, Any], names: ClaimNames) -> tuple[tuple[str, ...], tuple[str, ...], str, str]:
    """Scopes, roles, client and token id. Raises ValueError if one has another shape."""
    scopes, roles = _first(said, names.scopes, "scope"), claim(said, names.roles)
    if isinstance(scopes, str):
        scopes = [scope for scope in scopes.split(" ") if scope]
    if isinstance(scopes, list) and not all(isinstance(scope, str) and _SCOPE.match(scope) for scope in scopes):
        raise ValueError("a scope is no scope-token")  # whoever joins such ones with blanks makes others of them
    client, token = _first(said, names.client, "client_id", "azp"), _first(said, names.jti, "jti")
    return (
        msgspec.convert([] if scopes is None else scopes, tuple[str, ...]),
        msgspec.convert([] if roles is None else roles, tuple[str, ...]),
        msgspec.convert("" if client is None else client, str),
        msgspec.convert("" if token is None else token, str),
    )


def _rest(said: dict[str, Any], names: ClaimNames, also: set[str]) -> dict[str, Any]:
    read = also | _READ | {names.scopes, names.roles, names.client, names.jti, "scope", "client_id", "azp", "jti"}
    if names.subject != "sub":
        read -= {"sub"}  # what its issuer calls the subject elsewhere: in logout tokens and security events
    return {name: value for name, value in said.items() if name not in read}


def _wrong(claims: Claims, issuer: Issuer, now: float) -> str:
    leeway = issuer.leeway_seconds
    checks = (
        (claims.iss == issuer.issuer, "issuer"),
        (now < claims.exp + leeway, "expired"),
        (claims.exp <= now + issuer.max_token_seconds + leeway, "expires too far in the future"),
        (claims.iat <= now + leeway, "issued in the future"),
        (claims.nbf <= now + leeway, "not valid yet"),
        (claims.auth_time <= now + leeway, "authenticated in the future"),
    )
    return next((reason for holds, reason in checks if not holds), "")
