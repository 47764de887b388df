"""Whether who streams may go on: all that a decision stands on beside the policy, asked again."""

from __future__ import annotations

import msgspec

from gateway.agents import Registry, chain_allowed
from gateway.blocklist import Blocklist
from gateway.devices import Devices
from gateway.identity import Identifier, Refusal
from gateway.revocations import Revocations
from gateway.sessions import Session
from policy import AccessRequest


class Standing:
    """Proof, revocations, agents and blocks, as they are now."""

    def __init__(
        self,
        identifier: Identifier,
        agents: Registry,
        blocklist: Blocklist,
        revocations: Revocations,
        devices: Devices,
    ) -> None:
        self._identifier = identifier
        self._agents = agents
        self._blocklist = blocklist
        self._revocations = revocations
        self._devices = devices

    def request(self, session: Session, now: float) -> AccessRequest | str:
        """What policy is to be asked about a session at `now` (Unix seconds); or the reason to end it unasked."""
        request = session.request
        if unproven := self._identifier.unproven(request.principal, session.evidence, now):
            return unproven
        if self._revocations.find(request.principal, now) is not None:
            return "revoked"
        # Who was let in without being registered was let in on purpose; and nobody is ever struck off.
        principal = chain_allowed(request.principal, self._agents, now, required=False)
        if isinstance(principal, Refusal):
            return "agent_refused"
        if self._blocklist.find(principal, request.address) is not None:
            return "blocked"
        return msgspec.structs.replace(request, principal=principal, device=self._devices.of(principal), time=now)
