"""Whether everybody in a delegation chain may stand in it, as far as the registry of agents can tell."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.agents.agent import Agent
from gateway.agents.registry import Registry
from gateway.identity.refusal import Refusal
from policy import Principal


def chain_allowed(principal: Principal, registry: Registry, now: float, required: bool = True) -> Principal | Refusal:
    """The principal with the record of the agent that acts now in `agent`, or why the chain is refused.

    Each agent in the chain must be registered (unless not `required`), fit at `now` (Unix seconds) and allowed to act
    for the subject; nobody acts for herself, and nobody proves herself by an agent's key. The answer holds until the
    principal's `expires`, and in this epoch alone.
    """
    agents: list[Agent] = []
    for name in principal.chain():
        agent = registry.behind(name)
        wrong = _wrong(agent, principal, now) if agent else required and name.startswith("agent:") and "not registered"
        if wrong:
            return Refusal("invalid_token", f"{name}: {wrong}")
        if agent:
            agents.append(agent)
    if _twice(principal, registry):
        return Refusal("invalid_token", f"{principal.id}: acts for itself, or an actor stands in its chain twice")
    current = registry.behind(principal.actor)
    if _foreign_key(principal, current, registry):
        return Refusal("invalid_token", f"{principal.actor}: the token is bound to a key of somebody else")
    return _with_record(principal, agents, registry.view(current) if current else {}) if agents else principal


def _twice(principal: Principal, registry: Registry) -> bool:
    """Whether somebody stands in the chain twice, be it under two names: an agent's, and that of its workload."""
    names = [known.id if (known := registry.behind(name)) else name for name in principal.chain()]
    return len(names) != len(set(names))


def _wrong(agent: Agent, principal: Principal, now: float) -> str:
    if unfit := agent.unfit(now):
        return unfit
    for_itself = principal.id in agent.profile.names()
    fine = for_itself or agent.profile.acts_for(principal.id, principal.roles)
    return "" if fine else f"may not act for {principal.id}"


def _foreign_key(principal: Principal, current: Agent | None, registry: Registry) -> bool:
    """Whether the key that the token is bound to (RFC 9449 section 6.1) is not that of who acts now."""
    confirmation = principal.attributes.get("cnf")
    thumbprint = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if not isinstance(thumbprint, str):
        return False
    known = current is not None and bool(current.profile.keys)
    return registry.of_key(thumbprint) is not current if known else registry.of_key(thumbprint) is not None


def _with_record(principal: Principal, agents: list[Agent], record: dict[str, Any]) -> Principal:
    """Its proof ends no later than the registration of any agent in it."""
    expires = min(principal.expires, *(agent.profile.expires for agent in agents))
    return msgspec.structs.replace(principal, agent=record, expires=expires)
