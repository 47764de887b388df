"""The last decisions, verdicts and refusals, for the console; bounded, the oldest forgotten. The ledger keeps more."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from detectors import Verdict
from gateway.sessions import Cut, Session
from policy import AccessRequest, Actor, Decision, Effect

_KEPT = 2_000
_LONGEST = 512  # characters of a caller's own text


class Decided(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a decision was about; never the request, which has a body."""

    id: str
    time: float  # Unix seconds
    effect: Effect
    reasons: tuple[str, ...]
    obligations: dict[str, Any]
    revision: str
    subject: str
    actors: tuple[Actor, ...]
    action: str
    service: str
    path: str
    address: str
    stream: bool

    @classmethod
    def of(cls, request: AccessRequest, decision: Decision) -> Decided:
        """Of a request and what was decided about it."""
        principal = request.principal
        return cls(
            decision.id,
            request.time,
            decision.effect,
            decision.reasons,
            decision.obligations,
            decision.revision,
            principal.id,
            principal.actors,
            request.action[:_LONGEST],
            request.service,
            request.path[:_LONGEST],
            request.address,
            request.stream,
        )


class Records:
    """What the gateway did lately. Appending costs nothing that a request would notice."""

    def __init__(self) -> None:
        self._decisions: deque[Decided] = deque(maxlen=_KEPT)
        self._verdicts: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._cuts: deque[tuple[Session, Cut, float, float]] = deque(maxlen=_KEPT)
        self._refusals: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def decided(self, request: AccessRequest, decision: Decision) -> None:
        """Keep what a decision was about."""
        self.keep(Decided.of(request, decision))

    def keep(self, decided: Decided) -> None:
        """Keep a decision."""
        self._decisions.append(decided)

    def judged(self, verdict: Verdict, received: float, response: dict[str, Any]) -> None:
        """Keep a verdict with when it arrived (Unix seconds) and what the response policy made of it."""
        self._verdicts.append(msgspec.to_builtins(verdict) | {"received": received, "response": response})

    def refused(self, refusal: dict[str, Any]) -> None:
        """Keep a guard's refusal."""
        self._refusals.append(refusal)

    def cut(self, session: Session, cut: Cut, seconds: float, now: float) -> None:
        """Keep whom a cut ended at `now` (Unix seconds), so many seconds after its signal came."""
        self._cuts.append((session, cut, seconds, now))

    def cuts(self, limit: int) -> list[dict[str, Any]]:
        """The newest cuts, newest first: who, why, on which signal, in how many milliseconds."""
        return [_cut(*kept) for kept in _newest(self._cuts, limit)]

    def decisions(self, limit: int) -> list[dict[str, Any]]:
        """The newest decisions, newest first."""
        return [_decision(kept) for kept in _newest(self._decisions, limit)]

    def verdicts(self, limit: int) -> list[dict[str, Any]]:
        """The newest verdicts, newest first."""
        return _newest(self._verdicts, limit)

    def refusals(self, limit: int) -> list[dict[str, Any]]:
        """The newest refusals of the guard, newest first; `repeated` is how often each came again."""
        return _newest(self._refusals, limit)


def _newest(kept: deque[Any], limit: int) -> list[Any]:
    return [kept[-number] for number in range(1, min(limit, len(kept)) + 1)]


def _cut(session: Session, cut: Cut, seconds: float, now: float) -> dict[str, Any]:
    principal = session.request.principal
    return {
        "id": cut.id,
        "time": now,
        "session": session.id,
        "subject": principal.id,
        "actors": [actor.id for actor in principal.actors],
        "service": session.request.service,
        "reason": cut.reason,
        "signal": cut.signal,
        "milliseconds": round(seconds * 1000, 3),
    }


def _decision(kept: Decided) -> dict[str, Any]:
    record = {name: getattr(kept, name) for name in Decided.__struct_fields__ if name != "stream"}
    return record | {"reasons": list(kept.reasons), "actors": [actor.id for actor in kept.actors]}
