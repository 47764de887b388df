"""The last decisions, verdicts and refusals, for the console; bounded, the oldest forgotten. The ledger keeps more."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from detectors import Verdict
from policy import AccessRequest, Decision

_KEPT = 10_000


class Records:
    """What the gateway did lately. Appending costs nothing that a request would notice."""

    def __init__(self) -> None:
        self._decisions: deque[tuple[AccessRequest, Decision]] = deque(maxlen=_KEPT)
        self._verdicts: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._refusals: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def decided(self, request: AccessRequest, decision: Decision) -> None:
        """Keep a decision."""
        self._decisions.append((request, decision))

    def judged(self, verdict: Verdict, received: float, response: dict[str, Any]) -> None:
        """Keep a verdict with when it arrived (Unix seconds) and what the response policy made of it."""
        self._verdicts.append(msgspec.to_builtins(verdict) | {"received": received, "response": response})

    def refused(self, refusal: dict[str, Any]) -> None:
        """Keep a guard's refusal."""
        self._refusals.append(refusal)

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        """The newest decisions, newest first."""
        return [_decision(request, decision) for request, decision in _newest(self._decisions, limit)]

    def verdicts(self, limit: int) -> list[dict[str, Any]]:
        """The newest verdicts, newest first."""
        return _newest(self._verdicts, limit)

    def refusals(self, limit: int) -> list[dict[str, Any]]:
        """The newest refusals of the guard, newest first."""
        return _newest(self._refusals, limit)


def _newest(kept: deque[Any], limit: int) -> list[Any]:
    return [kept[-number] for number in range(1, min(limit, len(kept)) + 1)]


def _decision(request: AccessRequest, decision: Decision) -> dict[str, Any]:
    principal = request.principal
    return {
        "id": decision.id,
        "time": request.time,
        "effect": decision.effect,
        "reasons": list(decision.reasons),
        "obligations": decision.obligations,
        "revision": decision.revision,
        "subject": principal.id,
        "actors": [actor.id for actor in principal.actors],
        "action": request.action,
        "service": request.service,
        "path": request.path,
        "address": request.address,
    }
