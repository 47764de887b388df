"""Logout tokens (OpenID Connect Back-Channel Logout 1.0): an issuer says that somebody's session with it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from gateway.config import Issuer, Logout
from gateway.identity import KeySet, UnknownKey
from gateway.identity.jwks import LONGEST_ID
from gateway.identity.jws import Jws, object_of, read
from gateway.signals.event import LOGOUT, SecurityEvent, is_time
from gateway.signals.security_event_token import Unverified
from gateway.signals.subject import Subject, SubjectId
from policy import too_deep

LONGEST_LIFE: Final = 3600  # seconds that a token may still live; section 4 recommends two minutes


class LogoutError(msgspec.Struct, frozen=True):
    """Why nobody is logged out. The issuer is told."""

    description: str


@dataclass(frozen=True, slots=True)
class Sender:
    """An issuer whose word on logouts counts."""

    issuer: Issuer
    settings: Logout


class LogoutToken(msgspec.Struct, frozen=True):
    """A token that its issuer signed for us."""

    event: SecurityEvent
    until: float  # Unix seconds, after which it has ended


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class _Claims(msgspec.Struct):
    """Section 2.4."""

    iss: str
    aud: str | list[str]
    iat: Any
    exp: Any
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    events: dict[str, dict[str, Any]]
    sub: _Id | msgspec.UnsetType = msgspec.UNSET
    sid: _Id | msgspec.UnsetType = msgspec.UNSET


def read_logout_token(token: str) -> Unverified | LogoutError:
    """A token's parts, and who is said to have sent it."""
    jws = read(token)
    if isinstance(jws, str):
        return LogoutError(f"no signed token: {jws}")
    try:
        said = object_of(jws.payload)
    except ValueError as error:
        return LogoutError(f"payload: {error}")
    if too_deep(said):
        return LogoutError("claims nest too deep")
    issuer = said.get("iss")
    return Unverified(jws, said, issuer) if isinstance(issuer, str) else LogoutError("no iss")


def verify_logout(
    token: Unverified, sender: Sender, keys: KeySet, now: float
) -> LogoutToken | LogoutError | UnknownKey:
    """Section 2.6 at `now` (Unix seconds), but for the replay. An unknown key is to be fetched, and the token shown
    again.
    """
    unsigned = _signed(token.jws, sender, keys)
    if unsigned is not None:
        return unsigned
    try:
        claims = msgspec.convert(token.said, _Claims)
    except msgspec.ValidationError as error:
        return LogoutError(f"claims: {error}")
    wrong = _wrong(claims, token.said, sender, now)
    if wrong:
        return LogoutError(wrong)
    event = SecurityEvent(LOGOUT, _subject(claims), {}, claims.iss, claims.jti, float(claims.iat))
    return LogoutToken(event, float(claims.exp) + sender.issuer.leeway_seconds)


def _signed(jws: Jws, sender: Sender, keys: KeySet) -> LogoutError | UnknownKey | None:
    if jws.typ not in {name.lower() for name in sender.settings.token_types}:
        return LogoutError("typ is not a logout token's")
    if jws.algorithm not in sender.issuer.algorithms:
        return LogoutError("alg is not pinned for the issuer")
    if not 0 < len(jws.kid) <= LONGEST_ID:
        return LogoutError("no usable kid")
    key = keys.key(jws.kid, jws.algorithm)
    if key is None:
        return UnknownKey(sender.issuer.issuer)
    return None if jws.signed_by(key) else LogoutError("signature")


def _wrong(claims: _Claims, said: dict[str, Any], sender: Sender, now: float) -> str:
    leeway = sender.issuer.leeway_seconds
    audience = {claims.aud} if isinstance(claims.aud, str) else set(claims.aud)
    checks = (
        (claims.iss == sender.issuer.issuer, "issuer"),
        (audience == {sender.settings.client_id}, "audience"),
        (is_time(claims.iat) and is_time(claims.exp), "iat or exp is no time"),
        ("nonce" not in said, "nonce stands in no logout token"),
        (claims.events.keys() == {LOGOUT}, "events are not those of a logout token"),
        (claims.sub is not msgspec.UNSET or claims.sid is not msgspec.UNSET, "neither sub nor sid"),
    )
    wrong = next((reason for holds, reason in checks if not holds), "")
    return wrong or _out_of_time(float(claims.iat), float(claims.exp), now, leeway)


def _out_of_time(issued: float, ends: float, now: float, leeway: float) -> str:
    if issued > now + leeway:
        return "issued in the future"
    if now >= ends + leeway:
        return "expired"
    return "expires too far in the future" if ends > now + LONGEST_LIFE + leeway else ""


def _subject(claims: _Claims) -> Subject:
    """Without a `sid` all her sessions are meant; with one only that (section 2.4)."""
    members: dict[str, tuple[SubjectId, ...]] = {}
    if isinstance(claims.sub, str):
        members["user"] = (SubjectId("iss_sub", claims.iss, claims.sub),)
    if isinstance(claims.sid, str):
        members["session"] = (SubjectId("opaque", claims.iss, claims.sid),)
    return Subject(members)
