"""From a verdict to what is done about it: the response policy orders, the guard permits, the hub stops.

A cut and a refusal at the edge do not wait for the disk; acknowledging the signal does.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import Counter

from defense_lines import Guard, Hub, InvalidRecord, Ledger, LedgerUnwritable, Override, Permit, Refusal, Risk
from detectors import Verdict
from gateway.records import Records
from gateway.refusals import Refusals
from gateway.risk import Risks
from policy import BlockOrder, BlockPolicy, Cause, InvalidTarget, Pdp, RiskChange, Target, TargetKind

_log = structlog.get_logger()
_VERDICTS = Counter("portcullis_gateway_verdicts_total", "Verdicts received", ["detector"])
_UNKNOWN = Counter("portcullis_gateway_verdicts_refused_total", "Verdicts of no detector of ours, not acted upon")
_BLOCKS = Counter("portcullis_gateway_block_orders_total", "Blocks asked for", ["outcome"])
_DETECTORS = frozenset({"access", "flow", "alert", "endpoint"})  # each has a rate of its own at the guard

Answer = dict[str, Any]


class Responder:
    """Acts on verdicts and on operators' orders alike. `recheck` judges a principal's live sessions again."""

    def __init__(
        self,
        pdp: Pdp,
        guard: Guard,
        ledger: Ledger,
        hub: Hub,
        risks: Risks,
        records: Records,
        recheck: Callable[[str], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pdp = pdp
        self._guard = guard
        self._ledger = ledger
        self._hub = hub
        self._risks = risks
        self._records = records
        self._refusals = Refusals()
        self._recheck = recheck
        self._clock = clock

    async def verdict(self, verdict: Verdict) -> None:
        """Ask the response policy and carry out what it says; the edge first, then all of it on record.

        What the ledger cannot take is logged, counted and kept with the verdict, never raised.
        """
        received = self._clock()
        if verdict.detector not in _DETECTORS:
            _UNKNOWN.inc()
            _log.error("verdict of an unknown detector refused", verdict=verdict.id, detector=verdict.detector[:100])
            return
        _VERDICTS.labels(verdict.detector).inc()
        self._records.judged(verdict, received, await self._respond(verdict, received))

    async def _respond(self, verdict: Verdict, now: float) -> Answer:
        principal = verdict.subject if verdict.kind in {"principal", "actor"} else verdict.on_behalf_of
        response = await self._pdp.respond(verdict, principal, now)
        # nothing is awaited from here until all that can be done at once is done
        stopped = [self._ordered(order, verdict, now) for order in response.blocks]
        risks = [self._raise(change, verdict.id, now) for change in response.risks]
        blocks, unwritten = await asyncio.gather(
            asyncio.gather(*(self._acknowledged(answer, record) for answer, record in stopped)),
            asyncio.gather(*(self._written(risk) for risk in risks)),
        )
        faults = {answer["error"] for answer in blocks if "error" in answer} | set(filter(None, unwritten))
        if faults:
            _log.error("verdict not acknowledged", verdict=verdict.id, error="; ".join(sorted(faults)))
        raised = [f"{change.principal}: {change.level}" for change in response.risks]
        error = {"error": "; ".join(sorted(faults))} if faults else {}
        return {"blocks": blocks, "risks": raised, "why": response.why} | error

    def _ordered(self, order: BlockOrder, verdict: Verdict, now: float) -> tuple[Answer, Permit | Refusal | None]:
        cause = Cause(
            reason=order.reason,
            by=f"detector:{verdict.detector}",
            verdict=verdict.id,
            technique=verdict.technique,
        )
        return self._stop(order.kind, order.value, order.ttl, cause, now, None)

    async def block(
        self, kind: TargetKind, value: str, ttl: float, cause: Cause, now: float, override: Override | None = None
    ) -> Answer:
        """Guard, edge, ledger and lines for one block; what became of it.

        Raises LedgerUnwritable: the edge enforces it, and it is tried again; but it is not acknowledged.
        """
        answer, record = self._stop(kind, value, ttl, cause, now, override)
        return await self._recorded(answer, record)

    def _stop(
        self, kind: TargetKind, value: str, ttl: float, cause: Cause, now: float, override: Override | None
    ) -> tuple[Answer, Permit | Refusal | None]:
        """What is done at once: guard and edge. The answer, if the ledger takes what has to go on record."""
        try:
            target = Target.of(kind, value)
        except InvalidTarget as error:
            return self._refused("target", str(error), kind, value, cause.by)[0], None
        block = BlockPolicy(id=f"b-{secrets.token_hex(8)}", target=target, created=now, expires=now + ttl, cause=cause)
        judged = self._guard.judge(block, now, override)
        if isinstance(judged, Refusal):
            answer, first = self._refused(judged.rule, judged.reason, kind, value, cause.by)
            return answer, judged if first else None
        self._hub.enforce(judged)
        return {"outcome": "accepted", "block": block.id, "target": f"{target.kind}:{target.value}"}, judged

    async def _recorded(self, answer: Answer, record: Permit | Refusal | None) -> Answer:
        """The answer, once it is on record. Raises LedgerUnwritable."""
        if record is None:
            return answer
        try:
            if isinstance(record, Permit):
                await self._hub.record(record)
                _BLOCKS.labels("accepted").inc()
            else:
                await self._ledger.append(record)
        except InvalidRecord as error:
            target = record.block.target
            return self._refused("record", str(error), target.kind, target.value, record.block.cause.by)[0]
        return answer

    async def _acknowledged(self, answer: Answer, record: Permit | Refusal | None) -> Answer:
        try:
            return await self._recorded(answer, record)
        except LedgerUnwritable as error:
            _BLOCKS.labels("unacknowledged").inc()
            return answer | {"outcome": "unacknowledged", "error": str(error)}

    def _refused(self, rule: str, reason: str, kind: str, value: str, by: str) -> tuple[Answer, bool]:
        """The answer, and whether it is the first of its sort for a while."""
        _BLOCKS.labels("refused").inc()
        refused = {"outcome": "refused", "rule": rule, "reason": reason, "target": value, "time": self._clock()}
        kept = refused | {"by": by, "repeated": 0}
        first = self._refusals.first((rule, kind, value, by), kept)
        if first:
            self._records.refused(kept)
            _log.warning("block refused by the guard", rule=rule, reason=reason, target=value)
        return refused, first

    def _raise(self, change: RiskChange, verdict: str, now: float) -> Risk:
        """Decisions read the new level, and live sessions are judged by it, at once."""
        risk = self._risks.change(change, "policy:portcullis/response", f"{verdict}: {change.reason}", now)
        self._recheck(change.principal)
        return risk

    async def _written(self, risk: Risk) -> str:
        """What kept the risk from going on record; empty if nothing did."""
        try:
            await self._ledger.append(risk)
        except (LedgerUnwritable, InvalidRecord) as error:
            return str(error)
        return ""
