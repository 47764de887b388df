"""What identification asks of the registry."""

from __future__ import annotations

from gateway.agents.agent import Agent
from gateway.agents.chain import chain_allowed
from gateway.agents.registry import Registry
from gateway.identity.refusal import Refusal
from policy import Principal


class Vetting:
    """Lets principals pass as the registry knows them. `required`: an agent that is not registered is refused."""

    def __init__(self, registry: Registry, required: bool, vouches: str) -> None:
        """`vouches`: who vouches for an agent that proves itself by its key alone, as its principal says it."""
        self._registry = registry
        self._required = required
        self._vouches = vouches

    @property
    def epoch(self) -> int:
        """Counts changes of the registry."""
        return self._registry.epoch

    def allowed(self, principal: Principal, now: float) -> Principal | Refusal:
        """The principal with the acting agent's record, or why its chain is refused at `now` (Unix seconds)."""
        return chain_allowed(principal, self._registry, now, self._required)

    def of_key(self, thumbprint: str, now: float) -> Principal | Refusal:
        """The agent that signs with a key (RFC 7638 thumbprint), for itself."""
        agent = self._registry.of_key(thumbprint)
        if agent is None:
            return Refusal("invalid_signature", "no agent is registered with the key")
        return self.allowed(self._principal(agent, now), now)

    def _principal(self, agent: Agent, now: float) -> Principal:
        return Principal(
            id=agent.id,
            kind="agent",
            issuer=self._vouches,
            proof=("http-signature",),
            authenticated=now,
            expires=agent.profile.expires,
        )
