"""Every registered agent, in memory: looked up on each request, changed by the registrar alone."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client import Gauge

from gateway.agents.agent import Agent, Profile
from gateway.agents.order import Order, Refused, Unchanged, follow

MOST = 100_000  # agents, the revoked included
_REGISTERED = Gauge("portcullis_gateway_agents_registered", "Agents in the registry, whatever their state")


class Registry:
    """A lookup is a dict access. `epoch` grows with each change: what was concluded in an earlier one may be wrong."""

    def __init__(
        self,
        agents: Iterable[Agent] = (),
        most: int = MOST,
        stands: Callable[[Agent], None] = lambda agent: None,
    ) -> None:
        """`stands` hears of each agent that is put here."""
        self.epoch = 0
        self._stands = stands
        self._most = most
        self._agents: dict[str, Agent] = {}
        self._views: dict[str, dict[str, Any]] = {}
        self._by_key: dict[str, str] = {}
        self._by_spiffe: dict[str, str] = {}
        for agent in agents:
            self.put(agent)

    def __len__(self) -> int:
        return len(self._agents)

    def get(self, name: str) -> Agent | None:
        """The agent of an id."""
        return self._agents.get(name)

    def page(self, after: str, limit: int) -> list[Agent]:
        """The first agents whose id is after `after`, by id."""
        return [self._agents[name] for name in heapq.nsmallest(limit, (name for name in self._agents if name > after))]

    def of_key(self, thumbprint: str) -> Agent | None:
        """The agent that proves itself with a key (RFC 7638 thumbprint)."""
        return self._agents.get(self._by_key.get(thumbprint, ""))

    def of_spiffe_id(self, name: str) -> Agent | None:
        """The agent that is the workload of a SPIFFE id."""
        return self._agents.get(self._by_spiffe.get(name, ""))

    def behind(self, principal: str) -> Agent | None:
        """The agent behind a principal's id: its own, or that of a workload's SPIFFE id."""
        if principal.startswith("workload:"):
            return self.of_spiffe_id(principal[len("workload:") :])
        return self._agents.get(principal)

    def view(self, agent: Agent) -> dict[str, Any]:
        """What policy sees of an agent that stands here; made on first use, and not to be changed."""
        known = self._views.get(agent.id)
        if known is None:
            known = self._views[agent.id] = agent.for_policy()
        return known

    def after(self, order: Order, now: float) -> Agent | Unchanged | Refused:
        """What an order would come to at `now` (Unix seconds); changes nothing."""
        known = self._agents.get(order.agent)
        agent = follow(order, known, now)
        if not isinstance(agent, Agent):
            return agent
        if known is None and len(self._agents) >= self._most:
            return Refused(f"there are {self._most} agents already")
        return self._taken(agent.profile) or agent

    def put(self, agent: Agent) -> None:
        """Let an agent stand as it is here, instead of what it was."""
        known = self._agents.get(agent.id)
        if known is not None:
            self._forget(known.profile)
        self._agents[agent.id] = agent
        self._views.pop(agent.id, None)
        self._by_key |= dict.fromkeys(agent.profile.keys, agent.id)
        if agent.profile.spiffe_id:
            self._by_spiffe[agent.profile.spiffe_id] = agent.id
        self.epoch += 1
        _REGISTERED.set(len(self._agents))
        self._stands(agent)

    def all(self) -> Sequence[Agent]:
        """Every agent."""
        return tuple(self._agents.values())

    def _forget(self, profile: Profile) -> None:
        for thumbprint in profile.keys:
            self._by_key.pop(thumbprint, None)
        self._by_spiffe.pop(profile.spiffe_id, None)

    def _taken(self, profile: Profile) -> Refused | None:
        """A proof is one agent's alone, a revoked one's too: who could tell otherwise who proved itself?"""
        for thumbprint in profile.keys:
            if self._by_key.get(thumbprint, profile.id) != profile.id:
                return Refused(f"key {thumbprint} is another agent's")
        if self._by_spiffe.get(profile.spiffe_id, profile.id) != profile.id:
            return Refused(f"{profile.spiffe_id} is another agent's")
        return None
