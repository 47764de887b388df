"""Signalled is what the SOC's policy makes of a security event: what ends, and what is judged otherwise."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from policy.response import RiskChange, Seconds, read_as

NamedKind = Literal[
    "principal",
    "actor",
    "session",
    "address",
    "token",
    "key",
    "certificate",
    "device",
    "login",
    "subject",
    "email",
]
RevokedKind = Literal["principal", "actor", "token", "key", "device", "login", "subject", "email"]
Value = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
UnixSeconds = Annotated[float, msgspec.Meta(ge=0)]


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Live sessions by what they have in common. What an issuer named stands behind the issuer and a blank: "subject"
    ("https://idp.example alice"), "login" (the `sid`) and "token" (the `jti`).
    """

    kind: NamedKind
    value: Value


class RevocationOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Proofs that count no more: those of what is named that were issued at or before a time."""

    kind: RevokedKind
    value: Value  # as in `Named`
    before: UnixSeconds
    ttl: Seconds  # that it stands: no less than a token may still live
    reason: str


class DeviceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device's posture, as somebody else found it."""

    id: Value
    compliant: bool


class Signalled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do about a security event; nothing at all is an answer too. Of one that `failed`, nobody knows: it is not
    acknowledged, and whoever sent it sends it again.
    """

    cuts: tuple[Named, ...] = ()  # live sessions to end
    again: tuple[Named, ...] = ()  # live sessions to judge again
    revocations: tuple[RevocationOrder, ...] = ()
    risks: tuple[RiskChange, ...] = ()
    devices: tuple[DeviceChange, ...] = ()
    why: str = ""
    failed: bool = False


def read_signalled(answer: Any) -> Signalled:
    """What the policy says. Raises InvalidAnswer."""
    return read_as(answer, Signalled)
