"""Blocks that wait for a second person: on record, for a time, over a restart."""

from __future__ import annotations

from typing import Any

import msgspec
from prometheus_client import Counter, Gauge

from defense_lines import Held, Hold, Ledger
from policy import Target

MOST = 1_000  # that wait at once
_WAITING = Gauge("portcullis_gateway_approvals_waiting", "Blocks that wait for a second person")
_ENDED = Counter("portcullis_gateway_approvals_total", "Blocks that waited for a second person", ["verdict"])


class Approvals:
    """What waits. `seconds` is for how long; times are Unix seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[str, Held] = {}  # the oldest first
        self._asked: dict[tuple[Target, str], str] = {}  # block ids, by target and author

    def full(self, now: float) -> bool:
        """Whether no more may wait; what waited too long makes room."""
        if len(self._waiting) >= MOST:
            self.expire(now)
        return len(self._waiting) >= MOST

    def restore(self, ledger: Ledger, now: float) -> None:
        """What waited when the gateway ended."""
        for held in ledger.undecided.held(now):
            self.put(held)

    def waiting(self, now: float) -> list[Held]:
        """All, the oldest first."""
        self.expire(now)
        return list(self._waiting.values())

    def get(self, block_id: str, now: float) -> Held | None:
        """One that waits."""
        self.expire(now)
        return self._waiting.get(block_id)

    def same(self, target: Target, by: str, now: float) -> Held | None:
        """What the same author asked already and waits."""
        held = self._waiting.get(self._asked.get((target, by), ""))
        return held if held is not None and held.until > now else None

    def hold(self, hold: Hold, now: float) -> Held:
        """It waits from now on; to be put on record."""
        block = hold.block
        held = Held(
            block=block.id,
            policy=block,
            rule=hold.rule,
            reason=hold.reason,
            radius=hold.radius,
            until=now + self._seconds,
        )
        self.put(held)
        return held

    def again(self, held: Held, hold: Hold, now: float) -> Held:
        """It waits on, for another reason or with other figures."""
        self.take(held.block)
        return self.hold(Hold(hold.rule, hold.reason, held.policy, hold.radius), now)

    def take(self, block_id: str) -> Held | None:
        """It waits no more."""
        held = self._waiting.pop(block_id, None)
        if held is not None:
            asked = (held.policy.target, held.policy.cause.by)
            if self._asked.get(asked) == block_id:
                del self._asked[asked]
            _WAITING.set(len(self._waiting))
        return held

    def decided(self, verdict: str) -> None:
        """Count what became of one."""
        _ENDED.labels(verdict).inc()

    def expire(self, now: float) -> None:
        """What nobody decided in time is as if nobody had asked."""
        for held in [held for held in self._waiting.values() if held.until <= now]:
            self.take(held.block)
            self.decided("expired")

    def put(self, held: Held) -> None:
        """It waits."""
        self._waiting[held.block] = held
        self._asked[held.policy.target, held.policy.cause.by] = held.block
        _WAITING.set(len(self._waiting))


def told(held: Held) -> dict[str, Any]:
    """What people read of it."""
    block = held.policy
    return {
        "id": held.block,
        "kind": block.target.kind,
        "value": block.target.value,
        "seconds": block.expires - block.created,
        "rule": held.rule,
        "held": held.reason,
        "until": held.until,
        **msgspec.to_builtins(block.cause),
        "radius": msgspec.to_builtins(held.radius),
    }
