"""Security events: the types that we know, and what each must say (CAEP 1.0, SSF 1.0 section 8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec

from gateway.signals.subject import Subject

CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
VERIFICATION: Final = "https://schemas.openid.net/secevent/ssf/event-type/verification"
STREAM_UPDATED: Final = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
LOGOUT: Final = "http://schemas.openid.net/event/backchannel-logout"
_LATEST: Final = 1e11  # Unix seconds; a later time is in milliseconds, or a mistake


class SecurityEvent(msgspec.Struct, frozen=True):
    """Something happened, says who signed it."""

    type: str  # a URI
    subject: Subject
    claims: dict[str, Any]  # the event's own members; a number that is no integer is a Decimal
    issuer: str
    jti: str  # of the token that told it
    issued: float  # Unix seconds
    txn: str = ""  # the same for all events of one cause


_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_Reasons = Annotated[dict[str, str], msgspec.Meta(min_length=1)]
_Level = Literal["LOW", "MEDIUM", "HIGH"]
_Compliance = Literal["compliant", "not-compliant"]


class _Caep(msgspec.Struct):
    """CAEP section 2. Each type adds its own; names that we do not know are ignored (SSF section 5.3.3)."""

    event_timestamp: Any = 0  # checked apart: a Decimal may be text, too
    initiating_entity: Literal["admin", "user", "policy", "system"] | msgspec.UnsetType = msgspec.UNSET
    reason_admin: _Reasons | msgspec.UnsetType = msgspec.UNSET
    reason_user: _Reasons | msgspec.UnsetType = msgspec.UNSET


class _TokenClaimsChange(_Caep, kw_only=True):
    claims: Annotated[dict[str, Any], msgspec.Meta(min_length=1)]


class _CredentialChange(_Caep, kw_only=True):
    credential_type: _Text
    change_type: Literal["create", "revoke", "update", "delete"]
    friendly_name: _Text | msgspec.UnsetType = msgspec.UNSET
    x509_issuer: _Text | msgspec.UnsetType = msgspec.UNSET
    x509_serial: _Text | msgspec.UnsetType = msgspec.UNSET
    fido2_aaguid: _Text | msgspec.UnsetType = msgspec.UNSET


class _AssuranceLevelChange(_Caep, kw_only=True):
    namespace: _Text
    current_level: _Text
    previous_level: _Text | msgspec.UnsetType = msgspec.UNSET
    change_direction: Literal["increase", "decrease"] | msgspec.UnsetType = msgspec.UNSET


class _DeviceComplianceChange(_Caep, kw_only=True):
    previous_status: _Compliance
    current_status: _Compliance


class _SessionPresented(_Caep, kw_only=True):
    fp_ua: _Text | msgspec.UnsetType = msgspec.UNSET
    ext_id: _Text | msgspec.UnsetType = msgspec.UNSET


class _SessionEstablished(_SessionPresented, kw_only=True):
    acr: _Text | msgspec.UnsetType = msgspec.UNSET
    amr: list[str] | msgspec.UnsetType = msgspec.UNSET


class _RiskLevelChange(_Caep, kw_only=True):
    principal: _Text
    current_level: _Level
    previous_level: _Level | msgspec.UnsetType = msgspec.UNSET
    risk_reason: _Text | msgspec.UnsetType = msgspec.UNSET


class _Verification(msgspec.Struct):
    """SSF section 8.1.4.1."""

    state: _Text | msgspec.UnsetType = msgspec.UNSET


class _StreamUpdated(msgspec.Struct):
    """SSF section 8.1.5."""

    status: Literal["enabled", "paused", "disabled"]
    reason: _Text | msgspec.UnsetType = msgspec.UNSET


_CAEP_CLAIMS: Final[Mapping[str, type[_Caep]]] = {
    "session-revoked": _Caep,
    "token-claims-change": _TokenClaimsChange,
    "credential-change": _CredentialChange,
    "assurance-level-change": _AssuranceLevelChange,
    "device-compliance-change": _DeviceComplianceChange,
    "session-established": _SessionEstablished,
    "session-presented": _SessionPresented,
    "risk-level-change": _RiskLevelChange,
}
CAEP_TYPES: Final = tuple(CAEP + name for name in _CAEP_CLAIMS)
STREAM_TYPES: Final = (VERIFICATION, STREAM_UPDATED)  # about the stream itself
_CLAIMS: Final[Mapping[str, type[_Caep | _Verification | _StreamUpdated]]] = {
    **{CAEP + name: claims for name, claims in _CAEP_CLAIMS.items()},
    VERIFICATION: _Verification,
    STREAM_UPDATED: _StreamUpdated,
}
KNOWN: Final = frozenset(_CLAIMS)


def check_claims(event_type: str, claims: dict[str, Any]) -> None:
    """Raises ValueError if the members of an event of a known type are not as its specification says."""
    said = msgspec.convert(claims, _CLAIMS[event_type])
    if isinstance(said, _Caep) and not is_time(said.event_timestamp):
        raise ValueError("event_timestamp is no time")


def is_time(value: Any) -> bool:
    """Whether a claim is a time in Unix seconds (a NumericDate of RFC 7519)."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and 0 <= value <= _LATEST


def short_name(event_type: str) -> str:
    """A known type's name for people and metrics; "unknown" for any other."""
    return event_type.rpartition("/")[2] if event_type in KNOWN or event_type == LOGOUT else "unknown"
