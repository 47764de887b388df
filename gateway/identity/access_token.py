"""JWT access tokens (RFC 9068): whose key and which algorithms may speak, and what tells them from other JWTs.

An issuer whose access tokens have the common type "JWT", or none, signs its ID tokens alike. Then a token counts only
if it has a claim that access tokens alone have, and none that ID tokens alone have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.config import Issuer
from gateway.identity.claims import claim, principal_of
from gateway.identity.jwks import LONGEST_ID, KeySet, UnknownKey
from gateway.identity.jws import Jws, object_of
from gateway.identity.refusal import Refusal
from policy import Principal

_ID_TOKEN: Final = ("nonce", "at_hash", "c_hash", "s_hash")  # OpenID Connect Core, sections 2 and 3.3.2.11
_EVENT: Final = ("events",)  # logout tokens and security events (RFC 8417)
_USES: Final = {"typ": ("bearer", "dpop"), "token_use": ("access", "access_token"), "idtyp": ("app", "user")}


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed of one issuer."""

    issuer: Issuer
    keys: KeySet
    audiences: Collection[str]  # a token must be meant for one of these
    ours: bool = False  # we signed it, of what another vouched for


def verify(
    token: Jws, trusted: Mapping[str, Trust], longest_chain: int, now: float
) -> Principal | Refusal | UnknownKey:
    """Who a token speaks for at `now` (Unix seconds), if an issuer among `trusted` (by issuer URL) signed it. An
    unknown key is to be fetched, and the token shown again.
    """
    try:
        said = object_of(token.payload)  # unverified: until the signature is, only `iss` is used, to find the key
    except ValueError as error:
        return Refusal("invalid_token", f"payload: {error}")
    name = said.get("iss")
    trust = trusted.get(name) if isinstance(name, str) else None
    if trust is None:
        return Refusal("invalid_token", "issuer is not trusted")
    unsigned = _signed(token, trust)
    if unsigned is not None:
        return unsigned
    wrong = _unlike(said, token.typ, trust.issuer)
    if wrong:
        return Refusal("invalid_token", wrong)
    principal = principal_of(said, trust.issuer, trust.audiences, longest_chain, now, trust.ours)
    return _complete(principal, said) if isinstance(principal, Principal) else principal


def other_use(said: dict[str, Any]) -> str:
    """Why claims are those of another kind of token than an access token; "" if nothing says so."""
    for name in (*_ID_TOKEN, *_EVENT):
        if name in said:
            return f"{name} stands in no access token"
    odd = [name for name, uses in _USES.items() if name in said and str(said[name]).lower() not in uses]
    return f"{odd[0]} is another token's" if odd else ""


def _signed(token: Jws, trust: Trust) -> Refusal | UnknownKey | None:
    """What is wrong with type, algorithm, key or signature; None if the issuer signed this."""
    issuer = trust.issuer
    if token.typ not in {name.lower() for name in issuer.token_types}:
        return Refusal("invalid_token", f"typ {token.typ!r} is not an access token's")
    if token.algorithm not in issuer.algorithms:
        return Refusal("invalid_token", f"alg {token.algorithm!r} is not pinned for the issuer")
    if not 0 < len(token.kid) <= LONGEST_ID:
        return Refusal("invalid_token", "no usable kid")
    key = trust.keys.key(token.kid, token.algorithm)
    if key is not None:
        return None if token.signed_by(key) else Refusal("invalid_token", "signature")
    why = trust.keys.missing or f"no {token.algorithm} key {token.kid!r}"
    return UnknownKey(issuer.issuer, Refusal("invalid_token", why))


def _unlike(said: dict[str, Any], typ: str, issuer: Issuer) -> str:
    """Why signed claims are not an access token's."""
    if typ == "at+jwt":
        return ""
    return other_use(said) or ("" if _access(said, issuer) else "nothing says that it is an access token")


def _access(said: dict[str, Any], issuer: Issuer) -> bool:
    """Whether a claim is there that stands in access tokens alone; `azp` stands in ID tokens too."""
    names = issuer.claims
    own = (names.scopes, *(name for name in (names.client,) if name != "azp"))
    return any(name in said for name in _USES) or any(claim(said, name) is not None for name in own)


def _complete(principal: Principal, said: dict[str, Any]) -> Principal | Refusal:
    """What RFC 9068 section 2.2 demands, and an introspected token may lack."""
    present = (("iat", "iat" in said), ("client_id", principal.client), ("jti", principal.token))
    absent = [name for name, there in present if not there]
    return Refusal("invalid_token", f"no {absent[0]}") if absent else principal
