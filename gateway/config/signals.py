"""What we are told and tell of changes while streams live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.config.identity import Algorithm
from gateway.config.values import Branch, Integer


class Transmitter(Branch):
    """One transmitter of security events (SSF 1.0), and how its events come to us."""

    issuer: str
    audience: str  # whom its events name for us
    jwks_url: str | None = None  # none means what its metadata says
    algorithms: tuple[Algorithm, ...] = ("ES256", "RS256")
    # "push" and "poll": we set its stream up; "unmanaged": its own administrator did, and it pushes.
    delivery: Literal["push", "poll", "unmanaged"] = "push"
    token: SecretStr | None = None  # with which we manage the stream and poll
    token_file: Path | None = None
    push_token: SecretStr | None = None  # what it must show when it pushes; none means that its signature is enough
    push_token_file: Path | None = None
    events: tuple[str, ...] = ()  # types asked for; empty means all of CAEP's
    leeway_seconds: Annotated[Integer, Field(ge=0, le=300)] = 10  # between its clock and ours
    max_age_seconds: Annotated[Integer, Field(ge=60, le=2_592_000)] = 86_400  # an older event is refused
    keys_seconds: Annotated[Integer, Field(ge=10, le=86_400)] = 300  # that keys count while it is unreachable


class Logout(Branch):
    """An issuer of `identity.issuers` that tells us when somebody logs out (OIDC Back-Channel Logout 1.0)."""

    issuer: str
    client_id: str  # who we are to it: the logout token's audience
    token_types: tuple[Literal["logout+jwt", "JWT", ""], ...] = ("logout+jwt",)  # the header's typ; "" for none


class Signals(Branch):
    """Who tells us that something changed, while streams live."""

    url: str | None = None  # where transmitters reach us, without a path; needed where one pushes by our word
    transmitters: tuple[Transmitter, ...] = ()
    logout: tuple[Logout, ...] = ()
    # Tokens of each sender remembered, so that none counts twice; beyond it they are refused. 85 MB when full.
    replay_entries: Annotated[Integer, Field(ge=1000, le=100_000_000)] = 1_000_000


SignalsEvent = Literal["session-revoked", "risk-level-change", "device-compliance-change"]


class SignalsReceiver(Branch):
    """One of the bank's systems that may hear of our cuts (SSF 1.0)."""

    id: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]  # by which it is identified
    audience: Annotated[str, Field(pattern=r"^[!-~]{1,256}$")]  # its name in what it is sent
    events: Annotated[tuple[SignalsEvent, ...], Field(min_length=1)] = (
        "session-revoked",
        "risk-level-change",
        "device-compliance-change",
    )
    push_prefixes: tuple[str, ...] = ()  # below which it may have events pushed; none means that it polls
    max_waiting: Annotated[Integer, Field(ge=1, le=1_000_000)] = 10_000  # events in each stream; then it is paused


class SignalsTransmitter(Branch):
    """Tells the bank's other systems of our cuts (SSF 1.0, CAEP 1.0)."""

    issuer: str  # an https:// address without path: the edge's own, as receivers reach it
    receivers: Annotated[tuple[SignalsReceiver, ...], Field(min_length=1)]
    default_subjects: Literal["ALL", "NONE"] = "ALL"  # that a new stream is about


class LiveSessions(Branch):
    """Streams that live: after how long they are judged again though nothing happened."""

    max_age_seconds: Annotated[Integer, Field(ge=1, le=86_400)] = 300
    clock_seconds: Annotated[Integer, Field(ge=1, le=86_400)] = 5  # where the decision read the time
    revocations: Annotated[Integer, Field(ge=1000, le=100_000_000)] = 1_000_000  # kept; beyond it none is acknowledged
