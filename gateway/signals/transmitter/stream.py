"""A stream: what one receiver wants to be told, how, and whether it goes on (SSF section 8.1.1)."""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.config import SignalsReceiver
from gateway.signals.transmitter.told import EVENTS

Status = Literal["enabled", "paused", "disabled"]


class Push(msgspec.Struct, frozen=True):
    """Where tokens are sent (RFC 8935)."""

    url: str
    authorization: str = ""  # a secret: the Authorization header's value


class Stream(msgspec.Struct, frozen=True):
    """One stream of one receiver."""

    id: str
    receiver: str
    requested: tuple[str, ...] | None = None  # event types; none means whatever the receiver may have
    push: Push | None = None  # none means that the receiver polls (RFC 8936)
    description: str | None = None
    everybody: bool = True  # about all subjects but those on its list; else about those alone
    status: Status = "enabled"
    reason: str = ""
    verified: float = 0.0  # Unix seconds of the last verification that was asked for


class Refused(msgspec.Struct, frozen=True):
    """Why a request is not carried out: an HTTP status and words for the receiver."""

    status: int
    description: str


UNKNOWN = Refused(404, "there is no such stream")  # for another's stream too


def supported(receiver: SignalsReceiver) -> tuple[str, ...]:
    """The event types that a receiver may have."""
    return tuple(EVENTS[name] for name in receiver.events)


def delivered(stream: Stream, receiver: SignalsReceiver) -> tuple[str, ...]:
    """The event types that a stream carries."""
    wanted = stream.requested
    return tuple(event for event in supported(receiver) if wanted is None or event in wanted)
