"""The way of one block: the guard judges, the edge enforces at once, and it is on record before it is acknowledged."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter

from defense_lines import (
    Approval,
    Concluded,
    Guard,
    Held,
    Hold,
    Hub,
    InvalidRecord,
    Leave,
    Ledger,
    LedgerUnwritable,
    Permit,
    Refusal,
    Staged,
    Watches,
)
from gateway.approvals import MOST, Approvals
from gateway.records import Records
from gateway.refusals import Refusals
from policy import BlockPolicy, Cause, InvalidTarget, Target, TargetKind

_log = structlog.get_logger()
_BLOCKS = Counter("portcullis_gateway_block_orders_total", "Blocks asked for", ["outcome"])
_NONE = Leave()
_NAMED = 100  # whom a dry run names

Answer = dict[str, Any]
Note = Refusal | Held | Staged | Approval | Concluded


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was done at once. The answer holds if the ledger takes what has to go on record."""

    answer: Answer
    permit: Permit | None = None
    note: Note | None = None


class Blocking:
    """Detectors' blocks and people's go the same way. `clock` gives Unix seconds."""

    def __init__(
        self,
        guard: Guard,
        ledger: Ledger,
        hub: Hub,
        records: Records,
        approvals: Approvals,
        watches: Watches,
        clock: Callable[[], float],
    ) -> None:
        self._guard = guard
        self._ledger = ledger
        self._hub = hub
        self._records = records
        self._refusals = Refusals()
        self._approvals = approvals
        self._watches = watches
        self._clock = clock

    async def block(
        self, kind: TargetKind, value: str, ttl: float, cause: Cause, now: float, leave: Leave = _NONE
    ) -> Answer:
        """Guard, edge, ledger and lines for one block; what became of it.

        Raises LedgerUnwritable: the edge enforces it, and it is tried again; but it is not acknowledged.
        """
        return await self.recorded(self.stop(kind, value, ttl, cause, now, leave))

    def stop(self, kind: TargetKind, value: str, ttl: float, cause: Cause, now: float, leave: Leave = _NONE) -> Stopped:
        """What is done at once: guard and edge. `recorded` has to follow."""
        try:
            target = Target.of(kind, value)
        except InvalidTarget as error:
            return Stopped(self._refused("target", str(error), kind, value, cause.by)[0])
        return self.judged(new_block(target, ttl, cause, now), now, leave)

    def judged(self, block: BlockPolicy, now: float, leave: Leave = _NONE) -> Stopped:
        """The same, of a block with an id."""
        judged = self._guard.judge(block, now, leave)
        if isinstance(judged, Permit):
            return self._enforced(judged, now)
        return self._held(judged, now) if isinstance(judged, Hold) else self._denied(judged)

    async def recorded(self, stopped: Stopped) -> Answer:
        """The answer, once it is on record. Raises LedgerUnwritable."""
        try:
            await self._write(stopped)
        except InvalidRecord as error:
            if stopped.permit is None:
                raise
            self._watches.remove(stopped.permit.block.id)
            block = stopped.permit.block
            return self._refused("record", str(error), block.target.kind, block.target.value, block.cause.by)[0]
        if stopped.permit:
            _BLOCKS.labels("accepted").inc()
        return stopped.answer

    async def acknowledged(self, stopped: Stopped) -> Answer:
        """As `recorded`, but that a ledger which cannot be written is said in the answer."""
        try:
            return await self.recorded(stopped)
        except (LedgerUnwritable, InvalidRecord) as error:
            _BLOCKS.labels("unacknowledged").inc()
            return stopped.answer | {"outcome": "unacknowledged", "error": str(error)}

    async def lift(self, block_id: str, by: str, reason: str, mistaken: bool = True) -> bool:
        """End a block before its time, on record; False if no such block stands. One that was no mistake counts against
        its target, should that come back. Raises LedgerUnwritable.
        """
        block = self._ledger.standing(block_id, self._clock())
        lifted = await self._hub.lift(block_id, by, reason)
        self._watches.remove(block_id)
        if block is not None:
            self._guard.lifted(block, mistaken)
        return lifted

    def dry_run(self, target: Target, ttl: float, cause: Cause, now: float, leave: Leave = _NONE) -> Answer:
        """What the guard would say, and whom it would hit; nothing is counted, changed or on record."""
        judged = self._guard.consider(new_block(target, ttl, cause, now), now, leave)
        if isinstance(judged, Permit):
            would: Answer = {"would": "canary" if judged.whole else "accepted", "detail": judged.detail}
        else:
            would = {"would": "held" if isinstance(judged, Hold) else "refused"}
            would |= {"rule": judged.rule, "reason": judged.reason}
        radius, who = self._guard.radius(target, now), self._guard.who(target, now, _NAMED)
        told = {"expires": judged.block.expires, "radius": msgspec.to_builtins(radius), "who": list(who)}
        return {"outcome": "dry_run", "target": f"{target.kind}:{target.value}", **would, **told}

    def _enforced(self, permit: Permit, now: float) -> Stopped:
        self._hub.enforce(permit)
        block, whole = permit.block, permit.whole
        self._watches.add(block, whole, permit.bearable, permit.approved, now)
        told = {"block": block.id, "target": f"{block.target.kind}:{block.target.value}"}
        told |= {"detail": permit.detail} if permit.detail else {}
        if whole is None:
            return Stopped({"outcome": "accepted", **told}, permit)
        staged = Staged(
            block=block.id, policy=whole, bearable=permit.bearable, reason=permit.detail, approved=permit.approved
        )
        return Stopped({"outcome": "canary", "lines": list(block.lines), **told}, permit, staged)

    def _held(self, hold: Hold, now: float) -> Stopped:
        block = hold.block
        if earlier := self._approvals.same(block.target, block.cause.by, now):
            return Stopped(_waits(earlier))
        if self._approvals.full:
            return self._denied(Refusal("approvals", f"{MOST} blocks wait for a second person already", block))
        held = self._approvals.hold(hold, now)
        _BLOCKS.labels("held").inc()
        _log.warning("block held for a second person", block=block.id, rule=hold.rule, reason=hold.reason)
        return Stopped(_waits(held), note=held)

    def _denied(self, refusal: Refusal) -> Stopped:
        block = refusal.block
        answer, first = self._refused(
            refusal.rule, refusal.reason, block.target.kind, block.target.value, block.cause.by
        )
        return Stopped(answer, note=refusal if first else None)

    async def _write(self, stopped: Stopped) -> None:
        """Both in one commit: what stages a block before the block."""
        writes: list[Awaitable[object]] = []
        if stopped.note is not None:
            writes.append(self._ledger.append(stopped.note))
        if stopped.permit is not None:
            writes.append(self._hub.record(stopped.permit))
        await asyncio.gather(*writes)

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


def new_block(target: Target, ttl: float, cause: Cause, now: float) -> BlockPolicy:
    """A block for `ttl` seconds from now on, with an id of its own."""
    return BlockPolicy(id=new_id(), target=target, created=now, expires=now + ttl, cause=cause)


def new_id() -> str:
    """Of a block: "b-" and 16 hex digits."""
    return f"b-{secrets.token_hex(8)}"


def _waits(held: Held) -> Answer:
    target = held.policy.target
    return {
        "outcome": "held",
        "block": held.block,
        "target": f"{target.kind}:{target.value}",
        "rule": held.rule,
        "reason": held.reason,
        "until": held.until,
        "radius": msgspec.to_builtins(held.radius),
    }
