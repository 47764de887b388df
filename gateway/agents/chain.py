"""Whether everybody in a delegation chain may stand in it, as far as the registry of agents can tell."""

from __future__ import annotations

import msgspec

from gateway.agents.agent import Agent
from gateway.agents.registry import Registry
from gateway.identity.refusal import Refusal
from policy import Principal


def chain_allowed(principal: Principal, registry: Registry, now: float, required: bool = True) -> Principal | Refusal:
    """The principal with the record of the agent that acts now in `agent`, or why the chain is refused.

    Each agent in the chain must be registered (unless not `required`), fit at `now` (Unix seconds) and allowed to act
    for the subject; nobody acts for herself. The answer holds until the principal's `expires`, and in this epoch alone.
    """
    agents: list[Agent] = []
    for name in principal.chain():
        agent = registry.behind(name)
        wrong = _wrong(agent, principal, now) if agent else required and name.startswith("agent:") and "not registered"
        if wrong:
            return Refusal("invalid_token", f"{name}: {wrong}")
        if agent:
            agents.append(agent)
    if any(actor.id == principal.id for actor in principal.actors):
        return Refusal("invalid_token", f"{principal.id}: acts for itself")
    return _with_record(principal, agents, registry) if agents else principal


def _wrong(agent: Agent, principal: Principal, now: float) -> str:
    if unfit := agent.unfit(now):
        return unfit
    for_itself = principal.id in agent.profile.names()
    fine = for_itself or agent.profile.acts_for(principal.id, principal.roles)
    return "" if fine else f"may not act for {principal.id}"


def _with_record(principal: Principal, agents: list[Agent], registry: Registry) -> Principal:
    """Its proof ends no later than the registration of any agent in it."""
    expires = min(principal.expires, *(agent.profile.expires for agent in agents))
    current = registry.behind(principal.actor)
    record = registry.view(current) if current else {}
    return msgspec.structs.replace(principal, agent=record, expires=expires)
