"""The way of one block: the guard judges, the edge enforces at once, and it is on record before it is acknowledged."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
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
    Lift,
    Permit,
    Refusal,
    Staged,
    Watches,
)
from gateway.approvals import MOST, Approvals
from gateway.records import Records
from gateway.refusals import Key, Refusals
from gateway.renewals import Renewals
from policy import BlockPolicy, Cause, InvalidTarget, Target, TargetKind

_log = structlog.get_logger()
_BLOCKS = Counter("portcullis_gateway_block_orders_total", "Blocks asked for", ["outcome"])
_NONE = Leave()
_NAMED = 100  # whom a dry run names
_FOLLOWED = 10_000  # canaries of which it is remembered what followed; the oldest makes room

Answer = dict[str, Any]
Note = Refusal | Held | Staged | Approval | Concluded


@dataclass(frozen=True, slots=True)
class Stopped:
    """What was done at once. The answer holds if the ledger takes what has to go on record."""

    answer: Answer
    permit: Permit | None = None
    note: Note | None = None
    after: asyncio.Future[None] | None = None  # what somebody else is putting on record


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
        self._recording: dict[str, asyncio.Future[None]] = {}  # of blocks that are held, by id
        self._renewals = Renewals(ledger.standing)
        self._follows: dict[str, BlockPolicy] = {}  # on all lines, by the id of the canary that makes or made way
        self._clock = clock

    def restore(self, blocks: Iterable[BlockPolicy]) -> None:
        """These stand from before."""
        self._renewals.put(blocks)

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
        if leave == _NONE and (stands := self._renewals.enough(block, now)):
            return Stopped(_stands(stands))
        if self._approvals.same(block.target, block.cause.by, now):
            leave = replace(leave, waiting=True)
        judged = self._guard.judge(block, now, leave)
        return self._enforced(judged, now) if isinstance(judged, Permit) else self.refused(judged, now)

    def refused(self, judged: Refusal | Hold, now: float) -> Stopped:
        """What the guard said no to, or not without a second person."""
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

    async def lift(
        self, block_id: str, by: str, reason: str, mistaken: bool = True, because: Concluded | None = None
    ) -> bool:
        """End a block before its time, on record, with what it was concluded from; False if no such block stands. With
        a canary ends what follows it on all lines. One that was no mistake counts against its target, should that come
        back. Raises LedgerUnwritable, InvalidRecord.
        """
        ends = self._ends(block_id)
        watch = self._watches.remove(block_id)  # first: nothing more is concluded of it
        try:
            lifted = await self._lifted(Lift(block=block_id, by=by, reason=reason), ends, because)
        except LedgerUnwritable:
            if watch is not None and self._live(block_id):
                self._watches.put_back(watch)
            raise
        for block in ends:
            self._watches.remove(block.id)  # what follows a canary may be watched by now
            self._guard.lifted(block, mistaken)
        return lifted

    async def succeed(self, canary: BlockPolicy, permit: Permit, concluded: Concluded, now: float) -> None:
        """A canary makes way for the block on all lines, in one commit: the edge refuses by the one until it has the
        other. Raises LedgerUnwritable: all is as it was.
        """
        lift = Lift(block=canary.id, by="guard:canary", reason=f"promoted {permit.block.id}")
        self._follow(canary, permit.block)
        try:
            await self._ledger.append_all([permit, concluded, lift])
        except LedgerUnwritable:
            self._follows.pop(canary.id, None)
            self._guard.lifted(permit.block, mistaken=False)
            raise
        _BLOCKS.labels("accepted").inc()
        self._guard.lifted(canary, mistaken=False)
        self._watches.add(permit.block, None, permit.bearable, permit.approved, now)
        self._renewals.put([permit.block])

    def expire(self, now: float) -> None:
        """What waited too long for a second person waits no more."""
        self._approvals.expire(now)

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
        self._renewals.put([block])
        told = {"block": block.id, "target": f"{block.target.kind}:{block.target.value}"}
        told |= {"detail": permit.detail} if permit.detail else {}
        if whole is None:
            return Stopped({"outcome": "accepted", **told}, permit)
        return Stopped({"outcome": "canary", "lines": list(block.lines), **told}, permit, Staged.of(permit))

    def _held(self, hold: Hold, now: float) -> Stopped:
        block = hold.block
        if earlier := self._approvals.same(block.target, block.cause.by, now):
            return Stopped(_waits(earlier), after=self._recording.get(earlier.block))
        if self._approvals.full(now):
            return self._denied(Refusal("approvals", f"{MOST} blocks wait for a second person already", block))
        held = self._approvals.hold(hold, now)
        _BLOCKS.labels("held").inc()
        _log.warning("block held for a second person", block=block.id, rule=hold.rule, reason=hold.reason)
        self._recording[held.block] = asyncio.get_running_loop().create_future()
        return Stopped(_waits(held), note=held)

    def _denied(self, refusal: Refusal) -> Stopped:
        block = refusal.block
        answer, first = self._refused(
            refusal.rule, refusal.reason, block.target.kind, block.target.value, block.cause.by
        )
        return Stopped(answer, note=refusal if first else None)

    def _live(self, block_id: str) -> BlockPolicy | None:
        unwritten = self._hub.unwritten().get(block_id)
        return unwritten.block if unwritten else self._ledger.standing(block_id, self._clock())

    def _follow(self, canary: BlockPolicy, follows: BlockPolicy) -> None:
        """Kept when it is over too: who lifts the canary may not have seen yet that it made way."""
        self._follows[canary.id] = follows
        if len(self._follows) > _FOLLOWED:
            del self._follows[next(iter(self._follows))]

    def _ends(self, block_id: str) -> list[BlockPolicy]:
        """What a lift of a block ends: with a canary what follows it, on record already or on its way there."""
        found = [block for block in (self._live(block_id), self._follows.get(block_id)) if block]
        return found if any(self._live(block.id) for block in found) else []

    async def _lifted(self, lift: Lift, ends: list[BlockPolicy], because: Concluded | None) -> bool:
        if any(self._ledger.standing(block.id, self._clock()) for block in ends):
            lifts = [msgspec.structs.replace(lift, block=block.id) for block in ends]
            for result in await self._ledger.append_all([*lifts, because] if because else lifts):
                if isinstance(result, InvalidRecord):
                    raise result
            return True
        lifted = await self._hub.lift(lift.block, lift.by, lift.reason)
        if because is not None:
            await self._ledger.append(because)
        return lifted

    async def _write(self, stopped: Stopped) -> None:
        """Both in one commit: what stages a block before the block."""
        writes: list[Awaitable[object]] = []
        if stopped.after is not None:
            writes.append(asyncio.shield(stopped.after))
        if stopped.note is not None:
            writes.append(self._noted(stopped.note))
        if stopped.permit is not None:
            writes.append(self._hub.record(stopped.permit))
        await asyncio.gather(*writes)

    async def _noted(self, note: Note) -> None:
        """What could not be put on record is as if nobody had asked: who asks again is not told that it waits."""
        written = False
        try:
            await self._ledger.append(note)
            written = True
        finally:
            if not written:
                self._undo(note)
            if isinstance(note, Held):
                _end(self._recording.pop(note.block), written)

    def _undo(self, note: Note) -> None:
        if isinstance(note, Held):
            self._approvals.take(note.block)
        elif isinstance(note, Refusal):
            target = note.block.target
            self._refusals.forget(Key(note.rule, target.kind, target.value, note.block.cause.by))

    def _refused(self, rule: str, reason: str, kind: str, value: str, by: str) -> tuple[Answer, bool]:
        """The answer, and whether it is the first of its sort for a while."""
        _BLOCKS.labels("refused").inc()
        refused = {"outcome": "refused", "rule": rule, "reason": reason, "target": value, "time": self._clock()}
        kept = refused | {"by": by, "repeated": 0}
        first = self._refusals.first(Key(rule, kind, value, by), kept)
        if first:
            self._records.refused(kept)
            _log.warning("block refused by the guard", rule=rule, reason=reason, target=value)
        return refused, first


def _end(recording: asyncio.Future[None], written: bool) -> None:
    if written:
        recording.set_result(None)
    else:
        recording.set_exception(LedgerUnwritable("what waits for a second person could not be put on record"))
        recording.exception()  # nobody may be waiting


def new_block(target: Target, ttl: float, cause: Cause, now: float) -> BlockPolicy:
    """A block for `ttl` seconds from now on, with an id of its own."""
    return BlockPolicy(id=new_id(), target=target, created=now, expires=now + ttl, cause=cause)


def new_id() -> str:
    """Of a block: "b-" and 16 hex digits."""
    return f"b-{secrets.token_hex(8)}"


def _stands(block: BlockPolicy) -> Answer:
    """What stands already and has enough of its time left."""
    _BLOCKS.labels("standing").inc()
    told = {"block": block.id, "target": f"{block.target.kind}:{block.target.value}", "detail": "stands already"}
    if block.lines:
        return {"outcome": "canary", "lines": list(block.lines), **told}
    return {"outcome": "accepted", **told}


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
