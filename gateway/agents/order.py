"""What an operator may order of the registry, and what comes of it: a pure transition."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from gateway.agents.agent import Agent, Profile, State

Verb = Literal["add", "replace", "suspend", "resume", "revoke"]

NARROWING: Final = frozenset({"suspend", "revoke"})  # in force before they are durable
OUTCOMES: Final[dict[Verb, str]] = {
    "add": "added",
    "replace": "replaced",
    "suspend": "suspended",
    "resume": "resumed",
    "revoke": "revoked",
}
# From which states a verb leads where. Nothing leads out of "revoked": its id is not used again.
_MOVES: Final[dict[Verb, tuple[frozenset[State], State]]] = {
    "suspend": (frozenset({"active"}), "suspended"),
    "resume": (frozenset({"suspended"}), "active"),
    "revoke": (frozenset({"active", "suspended"}), "revoked"),
}


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order. `profile` comes with "add" and "replace" alone."""

    verb: Verb
    agent: str
    by: str
    reason: str = ""
    profile: Profile | None = None


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Why an order leads nowhere; nothing changes."""

    reason: str


class Unchanged(msgspec.Struct, frozen=True, gc=False):
    """The agent is already as it was ordered to be."""


def follow(order: Order, known: Agent | None, now: float) -> Agent | Unchanged | Refused:
    """The agent after an order at `now` (Unix seconds); `known` is what it is before, None if it is not registered."""
    if order.verb in ("add", "replace"):
        return _declared(order, known, now)
    if known is None:
        return Refused(f"{order.agent} is not registered")
    origins, state = _MOVES[order.verb]
    if known.state == state:
        return Unchanged()
    if known.state not in origins:
        return Refused(f"{order.agent} is {known.state}")
    return msgspec.structs.replace(known, state=state, changed=now, by=order.by, reason=order.reason)


def _declared(order: Order, known: Agent | None, now: float) -> Agent | Unchanged | Refused:
    if order.profile is None or order.profile.id != order.agent:
        return Refused("the profile of another agent, or none")
    if order.profile.expires <= now:
        return Refused("it would have expired already")
    if known is None:
        fresh = Agent(profile=order.profile, changed=now, by=order.by, reason=order.reason)
        return fresh if order.verb == "add" else Refused(f"{order.agent} is not registered")
    if order.verb == "add" or known.state == "revoked":
        return Refused(f"{order.agent} is registered already, and {known.state}")
    if order.profile == known.profile:
        return Unchanged()
    return msgspec.structs.replace(known, profile=order.profile, changed=now, by=order.by, reason=order.reason)
