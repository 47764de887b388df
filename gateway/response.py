"""From a verdict to what is done about it: the response policy orders, the guard permits, the hub stops."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import Counter

from defense_lines import Guard, Hub, Ledger, LedgerUnwritable, Override, Permit, Refusal, Risk
from detectors import Verdict
from gateway.records import Records
from gateway.risk import Risks
from policy import BlockOrder, BlockPolicy, Cause, InvalidTarget, Pdp, RiskChange, Target

_log = structlog.get_logger()
_VERDICTS = Counter("portcullis_gateway_verdicts_total", "Verdicts received", ["detector"])
_BLOCKS = Counter("portcullis_gateway_block_orders_total", "Blocks asked for", ["outcome"])


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
        self._recheck = recheck
        self._clock = clock

    async def verdict(self, verdict: Verdict) -> None:
        """Ask the response policy and carry out what it says. A failure is logged and counted, never raised."""
        received = self._clock()
        _VERDICTS.labels(verdict.detector).inc()
        try:
            done = await self._respond(verdict, received)
        except LedgerUnwritable as error:
            done = {"error": str(error)}
            _log.error("verdict not acknowledged: the ledger cannot be written", verdict=verdict.id, error=str(error))
        self._records.judged(verdict, received, done)

    async def _respond(self, verdict: Verdict, now: float) -> dict[str, Any]:
        principal = verdict.subject if verdict.kind in {"principal", "actor"} else verdict.on_behalf_of
        response = await self._pdp.respond(verdict, principal, now)
        cause = Cause(reason="", by=f"detector:{verdict.detector}", verdict=verdict.id, technique=verdict.technique)
        blocks = [await self._ordered(order, cause, now) for order in response.blocks]
        for change in response.risks:
            await self._raise(change, verdict.id, now)
        risks = [f"{change.principal}: {change.level}" for change in response.risks]
        return {"blocks": blocks, "risks": risks, "why": response.why}

    async def _ordered(self, order: BlockOrder, cause: Cause, now: float) -> dict[str, Any]:
        because = Cause(reason=order.reason, by=cause.by, verdict=cause.verdict, technique=cause.technique)
        return await self.block(order.kind, order.value, order.ttl, because, now)

    async def block(
        self, kind: Any, value: str, ttl: float, cause: Cause, now: float, override: Override | None = None
    ) -> dict[str, Any]:
        """Guard, ledger and lines for one block; what became of it. Raises LedgerUnwritable."""
        try:
            target = Target.of(kind, value)
        except InvalidTarget as error:
            return self._refused("target", str(error), value)
        block = BlockPolicy(id=f"b-{secrets.token_hex(8)}", target=target, created=now, expires=now + ttl, cause=cause)
        permit = self._guard.judge(block, now, override)
        if isinstance(permit, Refusal):
            await self._ledger.append(permit)
            return self._refused(permit.rule, permit.reason, value)
        return await self._submit(permit)

    async def _submit(self, permit: Permit) -> dict[str, Any]:
        block = await self._hub.submit(permit)
        _BLOCKS.labels("accepted").inc()
        return {"outcome": "accepted", "block": block.id, "target": f"{block.target.kind}:{block.target.value}"}

    def _refused(self, rule: str, reason: str, value: str) -> dict[str, Any]:
        _BLOCKS.labels("refused").inc()
        refused = {"outcome": "refused", "rule": rule, "reason": reason, "target": value, "time": self._clock()}
        self._records.refused(refused)
        _log.warning("block refused by the guard", rule=rule, reason=reason, target=value)
        return refused

    async def _raise(self, change: RiskChange, verdict: str, now: float) -> None:
        # Decisions read the new level at once; being acknowledged waits for the disk.
        risk = Risk(
            principal=change.principal,
            level=change.level,
            expires=now + change.ttl,
            reason=f"{verdict}: {change.reason}",
            by="policy:portcullis/response",
        )
        self._risks.set(risk)
        self._recheck(change.principal)
        await self._ledger.append(risk)
