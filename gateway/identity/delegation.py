"""The `act` claim of RFC 8693 section 4.1 as a chain of actors."""

from __future__ import annotations

import re
from typing import Any

from gateway.identity.refusal import Refusal
from policy import Actor, PrincipalKind

# Ids travel in headers and logs: printable ASCII without blanks, and short.
_ID = re.compile(r"(person|agent|workload):[!-~]{1,256}\Z")
_BARE = re.compile(r"[!-~]{1,256}\Z")


def principal_id(name: str, bare: PrincipalKind) -> str | None:
    """A principal id from a `sub` claim; a name without one of our prefixes is of kind `bare`. None if unfit."""
    if _ID.match(name):
        return name
    return f"{bare}:{name}" if _BARE.match(name) else None


def kind_of(identifier: str) -> PrincipalKind:
    """The kind that an id begins with."""
    return identifier.partition(":")[0]  # type: ignore[return-value]  # principal_id admits nothing else


def actors_of(act: Any, issuer: str, longest: int) -> tuple[Actor, ...] | Refusal:
    """The chain in an `act` claim, the current actor first. A chain longer than `longest` is refused."""
    actors: list[Actor] = []
    while act is not None:
        if len(actors) == longest:
            return Refusal("invalid_token", f"delegation chain longer than {longest}")
        actor = _actor(act, issuer)
        if actor is None:
            return Refusal("invalid_token", "act claim without a usable sub")
        actors.append(actor)
        act = act.get("act")
    return tuple(actors)


def _actor(act: Any, issuer: str) -> Actor | None:
    name = act.get("sub") if isinstance(act, dict) else None
    identifier = principal_id(name, "agent") if isinstance(name, str) else None
    return Actor(identifier, kind_of(identifier), issuer) if identifier else None
