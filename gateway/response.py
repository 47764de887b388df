"""From a verdict to what is done about it: the response policy orders, the guard permits, the hub stops.

A cut and a refusal at the edge do not wait for the disk; acknowledging the signal does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter

from defense_lines import InvalidRecord, Ledger, LedgerUnwritable, Risk
from detectors import Verdict
from gateway.blocking import Answer, Blocking, Stopped
from gateway.records import Records
from gateway.risk import Risks
from policy import BlockOrder, Cause, Pdp, RiskChange

_log = structlog.get_logger()
_VERDICTS = Counter("portcullis_gateway_verdicts_total", "Verdicts received", ["detector"])
_UNKNOWN = Counter("portcullis_gateway_verdicts_refused_total", "Verdicts of no detector of ours, not acted upon")
_DETECTORS = frozenset({"access", "flow", "pair", "name", "alert", "endpoint", "correlation"})  # each with its rate


class Responder:
    """Acts on verdicts. `recheck` judges a principal's live sessions again."""

    def __init__(
        self,
        pdp: Pdp,
        blocking: Blocking,
        ledger: Ledger,
        risks: Risks,
        records: Records,
        recheck: Callable[[str], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pdp = pdp
        self._blocking = blocking
        self._ledger = ledger
        self._risks = risks
        self._records = records
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
            asyncio.gather(*map(self._blocking.acknowledged, stopped)),
            asyncio.gather(*(self._written(risk) for risk in risks)),
        )
        faults = {answer["error"] for answer in blocks if "error" in answer} | set(filter(None, unwritten))
        if faults:
            _log.error("verdict not acknowledged", verdict=verdict.id, error="; ".join(sorted(faults)))
        raised = [f"{change.principal}: {change.level}" for change in response.risks]
        error = {"error": "; ".join(sorted(faults))} if faults else {}
        return {"blocks": blocks, "risks": raised, "why": response.why} | error

    def _ordered(self, order: BlockOrder, verdict: Verdict, now: float) -> Stopped:
        cause = Cause(
            reason=order.reason,
            by=f"detector:{verdict.detector}",
            verdict=verdict.id,
            technique=verdict.technique,
        )
        return self._blocking.stop(order.kind, order.value, order.ttl, cause, now)

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
