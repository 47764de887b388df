"""Security event tokens (RFC 8417, as SSF 1.0 section 4 profiles them): who may say what, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from gateway.config import Transmitter
from gateway.identity import KeySet, UnknownKey
from gateway.identity.jwks import LONGEST_ID
from gateway.identity.jws import Jws, object_of, read
from gateway.signals.event import KNOWN, SecurityEvent, check_claims, is_time
from gateway.signals.subject import Subject, read_subject
from policy import too_deep

LONGEST: Final = 65_536  # characters of a token
_MOST_EVENTS: Final = 16  # in one token
_TYP: Final = "secevent+jwt"

# RFC 8935 section 2.4, and SSF section 8.1.4.1
ErrorCode = Literal[
    "invalid_request",
    "invalid_key",
    "invalid_issuer",
    "invalid_audience",
    "authentication_failed",
    "access_denied",
    "invalid_state",
]


class SetError(msgspec.Struct, frozen=True):
    """Why a token counts for nothing. The transmitter is told."""

    err: ErrorCode
    description: str
    status: Literal[400, 401] = 400  # of a push


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed of one transmitter."""

    settings: Transmitter
    keys: KeySet
    critical: frozenset[str] = frozenset()  # members of a complex subject that must be understood


class SecurityEventToken(msgspec.Struct, frozen=True):
    """A token that its transmitter signed for us."""

    issuer: str
    jti: str
    until: float  # Unix seconds, after which it would be too old
    events: tuple[SecurityEvent, ...]  # of known types
    unknown: int  # events of other types: acknowledged, and nothing else


class _Claims(msgspec.Struct):
    """RFC 8417 section 2.2."""

    iss: str
    aud: str | list[str]
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    iat: Any
    events: Annotated[dict[str, dict[str, Any]], msgspec.Meta(min_length=1, max_length=_MOST_EVENTS)]
    txn: Annotated[str, msgspec.Meta(max_length=1024)] = ""


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token of which nothing is believed yet, but whose transmitter it names."""

    jws: Jws
    said: dict[str, Any]
    issuer: str


def read_unverified(token: str) -> Unverified | SetError:
    """A token's parts, and who is said to have sent it."""
    jws = read(token, LONGEST)
    if isinstance(jws, str):
        return SetError("invalid_request", f"no signed token: {jws}")
    if jws.typ != _TYP:
        return SetError("invalid_request", f"typ is not {_TYP}")  # SSF section 4.1.1
    try:
        said = object_of(jws.payload)
    except ValueError as error:
        return SetError("invalid_request", f"payload: {error}")
    if too_deep(said):
        return SetError("invalid_request", "claims nest too deep")
    issuer = said.get("iss")
    return Unverified(jws, said, issuer) if isinstance(issuer, str) else SetError("invalid_issuer", "no iss")


def verify(token: Unverified, trust: Trust, now: float) -> SecurityEventToken | SetError | UnknownKey:
    """What the transmitter says at `now` (Unix seconds). An unknown key is to be fetched, and the token shown again."""
    unsigned = _signed(token.jws, trust)
    if unsigned is not None:
        return unsigned
    try:
        claims = msgspec.convert(token.said, _Claims)
    except msgspec.ValidationError as error:
        return SetError("invalid_request", f"claims: {error}")
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    if trust.settings.audience not in audiences:
        return SetError("invalid_audience", "not meant for this receiver")
    wrong = _wrong(claims, token.said, trust.settings, now)
    if wrong:
        return SetError("invalid_request", wrong)
    try:
        events = _events(claims, token.said, trust)
    except ValueError as error:
        return SetError("invalid_request", str(error))
    until = float(claims.iat) + trust.settings.max_age_seconds + trust.settings.leeway_seconds
    return SecurityEventToken(claims.iss, claims.jti, until, events, len(claims.events) - len(events))


def _signed(jws: Jws, trust: Trust) -> SetError | UnknownKey | None:
    """What is wrong with algorithm, key or signature; None if the transmitter signed this."""
    if jws.algorithm not in trust.settings.algorithms:
        return SetError("invalid_key", "alg is not one that is accepted of this transmitter")
    if not 0 < len(jws.kid) <= LONGEST_ID:
        return SetError("invalid_key", "no usable kid")
    key = trust.keys.key(jws.kid, jws.algorithm)
    if key is None:
        return UnknownKey(trust.settings.issuer)
    return None if jws.signed_by(key) else SetError("authentication_failed", "the signature is not the transmitter's")


def _wrong(claims: _Claims, said: dict[str, Any], settings: Transmitter, now: float) -> str:
    if not is_time(claims.iat):
        return "iat is no time"
    if claims.iat > now + settings.leeway_seconds:
        return "issued in the future"
    if claims.iat < now - settings.max_age_seconds:
        return "too old"
    # SSF sections 4.1.2 and 4.1.7, against confusion with other tokens
    odd = [name for name in ("sub", "exp") if name in said and claims.events.keys() & KNOWN]
    return f"{odd[0]} stands in no SSF event" if odd else ""


def _events(claims: _Claims, said: dict[str, Any], trust: Trust) -> tuple[SecurityEvent, ...]:
    """The events of known types. Raises ValueError if one is not as it should be: then none counts."""
    events = []
    for event_type, members in claims.events.items():
        if event_type in KNOWN:
            subject = _subject(said, members, trust.critical)
            own = {name: value for name, value in members.items() if name != "subject"}
            check_claims(event_type, own)
            event = SecurityEvent(event_type, subject, own, claims.iss, claims.jti, float(claims.iat), claims.txn)
            events.append(event)
    return tuple(events)


def _subject(said: dict[str, Any], members: dict[str, Any], critical: frozenset[str]) -> Subject:
    """SSF section 3.1 has it in `sub_id`; a CAEP event may say it too, and before SSF 1.0 that was the only place.
    Where both are, they must agree, or two receivers would act upon two people.
    """
    if "sub_id" not in said and "subject" not in members:
        raise ValueError("no sub_id")
    subjects = [read_subject(part, critical) for part in _present(said, members)]
    if any(subject != subjects[0] for subject in subjects):
        raise ValueError("sub_id and the event's subject are not the same")
    return subjects[0]


def _present(said: dict[str, Any], members: dict[str, Any]) -> list[Any]:
    return [holder[name] for holder, name in ((said, "sub_id"), (members, "subject")) if name in holder]
