"""A second person decides about a block that waits: on record first, then it goes its way, judged again."""

from __future__ import annotations

import msgspec

from defense_lines import Approval, Approved, Guard, Held, Hold, Leave, Ledger, LedgerUnwritable, Permit, Refusal
from gateway.approvals import Approvals
from gateway.blocking import Answer, Blocking
from policy import BlockPolicy


class Approving:
    """Nobody decides twice, and nobody decides what they asked for. Times are Unix seconds."""

    def __init__(self, guard: Guard, ledger: Ledger, approvals: Approvals, blocking: Blocking) -> None:
        self._guard = guard
        self._ledger = ledger
        self._approvals = approvals
        self._blocking = blocking

    async def approve(self, block_id: str, by: str, reason: str, now: float) -> Answer:
        """The block's answer, as if it had been asked for now; "unknown" where nothing waits. Raises LedgerUnwritable:
        it waits on.
        """
        held = self._approvals.take(block_id) if self._approvals.get(block_id, now) else None
        if held is None:
            return {"outcome": "unknown", "block": block_id}
        leave = Leave(approved=Approved(by=by, reason=reason, principals=held.radius.people))
        block = _from_now(held.policy, now)
        judged = self._guard.consider(block, now, leave)
        if not isinstance(judged, Permit):
            return await self._waits_on(held, judged, now)
        await self._put_on_record(held, Approval(block=block_id, verdict="approved", by=by, reason=reason))
        return await self._blocking.recorded(self._blocking.judged(block, now, leave))

    async def decline(self, block_id: str, by: str, reason: str, now: float) -> Answer:
        """It waits no more, and is not carried out; whoever asked may decline it too. Raises LedgerUnwritable."""
        held = self._approvals.take(block_id) if self._approvals.get(block_id, now) else None
        if held is None:
            return {"outcome": "unknown", "block": block_id}
        await self._put_on_record(held, Approval(block=block_id, verdict="declined", by=by, reason=reason))
        return {"outcome": "declined", "block": block_id}

    async def _waits_on(self, held: Held, judged: Refusal | Hold, now: float) -> Answer:
        """Not by this person, or not as it is now: said, and on record."""
        refusal = Refusal(judged.rule, judged.reason, held.policy)
        answer = {"outcome": "refused", "block": held.block, "rule": judged.rule, "reason": judged.reason}
        if isinstance(judged, Hold) and judged.rule != "four_eyes":
            again = self._approvals.again(held, judged, now)
            try:
                await self._ledger.append(again)
            except LedgerUnwritable:
                self._approvals.take(again.block)
                self._approvals.put(held)
                raise
            return answer | {"outcome": "held", "radius": msgspec.to_builtins(again.radius)}
        self._approvals.put(held)
        await self._ledger.append(refusal)
        return answer

    async def _put_on_record(self, held: Held, approval: Approval) -> None:
        try:
            await self._ledger.append(approval)
        except LedgerUnwritable:
            self._approvals.put(held)
            raise
        self._approvals.decided(approval.verdict)


def _from_now(block: BlockPolicy, now: float) -> BlockPolicy:
    return msgspec.structs.replace(block, created=now, expires=now + block.expires - block.created)
