"""AuthZEN's evaluation and evaluations (Authorization API 1.0, sections 6 and 7), asked of the PDP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.blocklist import Blocklist
from gateway.decision_api.evaluation import ENTITIES, access_request, entity
from gateway.decision_api.refused import Refused
from gateway.enforcement import refusal_id
from policy import AccessRequest, Decision, Pdp

Witness = Callable[[AccessRequest, Decision], None]
Answer = dict[str, Any]

_ENDS_AT = {"execute_all": None, "deny_on_first_deny": False, "permit_on_first_permit": True}
_FAILURES = frozenset({"policy_unavailable", "policy_error"})


class AuthZen:
    """Evaluates for an enforcement point that has proven who it is. `witness` sees every decision of the PDP; `most`
    is how many evaluations one request may have.
    """

    def __init__(
        self, pdp: Pdp, blocklist: Blocklist, witness: Witness, most: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._pdp = pdp
        self._blocklist = blocklist
        self._witness = witness
        self._most = most
        self._clock = clock

    async def evaluation(self, asked: Mapping[str, Any]) -> Answer:
        """The decision about one evaluation. Raises Refused."""
        request = access_request(asked, self._clock())
        decision = await self._pdp.ask(request)
        if self._blocklist.find(request.principal, request.address) is not None:
            return {"decision": False, "context": {"id": refusal_id(), "effect": "deny", "reasons": ["blocked"]}}
        self._witness(request, decision)
        if not _FAILURES.isdisjoint(decision.reasons):
            raise Refused(500, f"policy did not judge: {', '.join(decision.reasons)} ({decision.id})")
        return {"decision": decision.allowed, "context": _context(decision)}

    async def evaluations(self, asked: Mapping[str, Any]) -> Answer:
        """The decisions about several, in their order; about one, where none are listed. Raises Refused for what is
        wrong with the whole; what is wrong with one of them is said in its place.
        """
        listed = asked.get("evaluations", [])
        if type(listed) is not list or len(listed) > self._most:
            raise Refused(400, f"evaluations must be an array of at most {self._most}")
        if not listed:
            return await self.evaluation(asked)
        ends_at = _ENDS_AT[_semantic(asked)]
        defaults = {name: entity(asked, name) for name in ENTITIES if name in asked}
        answers = []
        for one in listed:
            answers.append(await self._one_of_many(one, defaults))
            if answers[-1]["decision"] is ends_at:
                break
            await asyncio.sleep(0)  # between two of them, others are judged
        return {"evaluations": answers}

    async def _one_of_many(self, one: Any, defaults: Mapping[str, Any]) -> Answer:
        try:
            if type(one) is not dict:
                raise Refused(400, "an evaluation must be an object")
            return await self.evaluation({**defaults, **one})
        except Refused as refused:
            return {"decision": False, "context": {"error": {"status": refused.status, "message": refused.message}}}


def _semantic(asked: Mapping[str, Any]) -> str:
    options = entity(asked, "options") if "options" in asked else {}
    semantic = options.get("evaluations_semantic", "execute_all")
    if type(semantic) is not str or semantic not in _ENDS_AT:
        raise Refused(400, f"options.evaluations_semantic must be one of {', '.join(_ENDS_AT)}")
    return semantic


def _context(decision: Decision) -> Answer:
    """What an enforcement point may go by beside the decision: for a step-up, the obligations say what to ask for."""
    return {
        "id": decision.id,
        "effect": decision.effect,
        "reasons": list(decision.reasons),
        "revision": decision.revision,
        **({"obligations": decision.obligations} if decision.obligations else {}),
    }
