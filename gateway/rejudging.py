"""Continuous verification: live sessions judged again when something that they depended on changes."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from gateway.agents import Agent, Registry, chain_allowed
from gateway.blocklist import Blocklist
from gateway.identity import Refusal
from gateway.risk import Risks
from gateway.sessions import Session, Sessions
from policy import Pdp


class Rejudging:
    """Ends the sessions that policy, asked again, would refuse. Only what a signal touches is asked again."""

    def __init__(self, sessions: Sessions, pdp: Pdp, agents: Registry, clock: Callable[[], float] = time.time) -> None:
        self._sessions = sessions
        self._pdp = pdp
        self._agents = agents
        self._clock = clock

    def principal(self, principal: str) -> int:
        """Its risk changed. Returns how many streams ended."""
        return self._sessions.recheck(self._sessions.find("actor", principal), self._refused, "risk")

    def agent(self, agent: Agent) -> int:
        """Its registration changed. Returns how many streams ended."""
        touched = (session for name in agent.profile.names() for session in self._sessions.find("actor", name))
        return self._sessions.recheck(touched, self._refused, "agent")

    def everyone(self) -> int:
        """The policy revision changed. Returns how many streams ended."""
        return self._sessions.recheck(self._sessions, self._refused, "policy")

    def tick(self, blocklist: Blocklist, risks: Risks) -> None:
        """What time alone ends: blocks, risks, and the proofs of those who stream."""
        now = self._clock()
        blocklist.expire()
        for principal in risks.expire(now):
            self.principal(principal)
        expired = [session for session in self._sessions if session.request.principal.expires <= now]
        self._sessions.cut(expired, "token_expired", "expiry")

    def _refused(self, session: Session) -> str:
        now = self._clock()
        # Who was let in without being registered was let in on purpose; and nobody is ever struck off.
        principal = chain_allowed(session.request.principal, self._agents, now, required=False)
        if isinstance(principal, Refusal):
            return "agent_refused"
        if not self._pdp.immediate:
            return "policy_changed"  # a remote engine cannot be asked in passing: the caller comes back and is judged
        decision = self._pdp.decide(msgspec.structs.replace(session.request, principal=principal, time=now))
        return "" if decision.allowed else ",".join(decision.reasons) or "refused"
