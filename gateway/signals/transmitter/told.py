"""What we tell, and the CAEP 1.0 events that we make of our own decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.signals.event import CAEP, STREAM_UPDATED, VERIFICATION

EVENTS: Final = {
    name: CAEP + name for name in ("session-revoked", "risk-level-change", "device-compliance-change")
}  # what we send, by the names that configuration uses
_LONGEST_REASON = 1024  # characters

Initiator = Literal["admin", "user", "policy", "system"]
Level = Literal["LOW", "MEDIUM", "HIGH"]
Compliance = Literal["compliant", "not-compliant"]


class Told(msgspec.Struct, frozen=True):
    """One event. `txn` is the same in all that one cause led to (SSF 1.0 section 5.1.9)."""

    event: str  # type URI
    subject: Mapping[str, Any]  # a subject identifier (RFC 9493) or SSF's complex one
    claims: Mapping[str, Any]  # the event's own
    txn: str
    time: float  # Unix seconds when it happened


def session_revoked(subject: Mapping[str, Any], txn: str, time: float, initiator: Initiator, reason: str) -> Told:
    """A session was cut (CAEP section 3.1). `reason` is for administrators; the interoperability profile wants one."""
    claims = _optional(time, initiator, reason)
    return Told(EVENTS["session-revoked"], subject, claims, txn, time)


def risk_level_change(
    subject: Mapping[str, Any],
    txn: str,
    time: float,
    *,
    principal: str,
    current: Level,
    previous: Level | None = None,
    reason: str = "",
) -> Told:
    """A risk is another (CAEP section 3.8). `principal` says what the subject is: USER, DEVICE, SESSION, …"""
    known = {"previous_level": previous, "risk_reason": reason[:_LONGEST_REASON]}
    said = {"principal": principal, "current_level": current, "event_timestamp": int(time)}
    claims = said | {name: value for name, value in known.items() if value}
    return Told(EVENTS["risk-level-change"], subject, claims, txn, time)


def device_compliance_change(
    subject: Mapping[str, Any], txn: str, time: float, current: Compliance, initiator: Initiator, reason: str
) -> Told:
    """A device began or ceased to be as it should (CAEP section 3.5)."""
    previous = "not-compliant" if current == "compliant" else "compliant"
    claims = {"previous_status": previous, "current_status": current} | _optional(time, initiator, reason)
    return Told(EVENTS["device-compliance-change"], subject, claims, txn, time)


def verification(stream: str, state: str | None, txn: str, time: float) -> Told:
    """What a receiver asked for to see that a stream works (SSF section 8.1.4.1)."""
    return Told(VERIFICATION, _itself(stream), {} if state is None else {"state": state}, txn, time)


def stream_updated(stream: str, status: str, reason: str, txn: str, time: float) -> Told:
    """We changed a stream's status ourselves (SSF section 8.1.5)."""
    return Told(STREAM_UPDATED, _itself(stream), {"status": status, "reason": reason}, txn, time)


def _optional(time: float, initiator: Initiator, reason: str) -> dict[str, Any]:
    """CAEP section 2."""
    return {
        "event_timestamp": int(time),
        "initiating_entity": initiator,
        "reason_admin": {"en": reason[:_LONGEST_REASON]},
    }


def _itself(stream: str) -> dict[str, str]:
    return {"format": "opaque", "id": stream}
