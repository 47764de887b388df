"""A principal is an authenticated identity: person, workload or agent, with the chain that lets it act."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

PrincipalKind = Literal["person", "workload", "agent"]


class Actor(msgspec.Struct, frozen=True, gc=False):
    """One link of a delegation chain (RFC 8693 section 4.1)."""

    id: str  # "agent:invoice-bot"
    kind: PrincipalKind
    issuer: str = ""


class Principal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who asks, and on whose behalf. Ids are `kind:name`, unique within the bank (`person:alice`, `agent:invoice-bot`,
    `workload:spiffe://bank.example/batch`).
    """

    id: str  # the subject: on whose behalf the request is made
    kind: PrincipalKind
    issuer: str  # who vouches: issuer URL or trust domain
    actors: tuple[Actor, ...] = ()  # who acts for the subject; the current actor first, then history
    proof: tuple[str, ...] = ()  # how it proved itself: "bearer", "mtls", "x509-svid"
    assurance: str = ""  # acr of the authentication
    authenticated: float = 0.0  # Unix seconds (auth_time), 0 if unknown
    issued: float = 0.0  # Unix seconds when the proof was issued (iat), 0 if unknown
    expires: float = 0.0  # Unix seconds when the proof ends
    token: str = ""  # jti of the token, if any
    client: str = ""  # OAuth client that the token was issued to, if any
    audience: tuple[str, ...] = ()  # whom the token is meant for, if there is one
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}  # claims that policy may read: customer number, limits
    agent: dict[str, Any] = {}  # who acts now, as the registry of agents knows it: owner, purpose, tools, amounts

    @property
    def actor(self) -> str:
        """Id of who acts now: the current actor, or the subject itself."""
        return self.actors[0].id if self.actors else self.id

    def chain(self) -> Iterator[str]:
        """Every id whose cut ends what this principal does: the subject, then every actor."""
        yield self.id
        for actor in self.actors:
            yield actor.id
