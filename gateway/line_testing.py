"""Testing a line: a harmless block that means it alone, the whole way there and back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from defense_lines import Guard, Hub, Ledger, Permit, Story
from policy import BlockPolicy, Cause, Target, TargetKind

# RFC 5737, section 3: addresses for documentation, which nobody has
_HARMLESS: Final[dict[TargetKind, str]] = {
    "address": "192.0.2.1",
    "range": "192.0.2.0/30",
    "principal": "person:test-of-a-line",
    "actor": "agent:test-of-a-line",
    "session": "test-of-a-line",
}
_LIFE = 30.0  # seconds; it is lifted long before
_PATIENCE = 5.0  # seconds for one answer

Answer = dict[str, Any]


class LineTesting:
    """Blocks what nobody has, on one line, waits for its receipt, lifts it, and waits again."""

    def __init__(self, guard: Guard, hub: Hub, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._guard = guard
        self._hub = hub
        self._ledger = ledger
        self._clock = clock

    async def test(self, line: str, by: str, reason: str) -> Answer:
        """`outcome` is "passed", "failed" or "refused"; the block's story is on record. Raises LedgerUnwritable."""
        declared = self._ledger.declared(line)
        kind = next((kind for kind in _HARMLESS if declared and kind in declared.targets), None)
        if kind is None:
            return {"outcome": "failed", "reason": "the line never said what it can do"}
        judged = self._guard.judge(self._block(line, kind, by, reason), self._clock())
        if not isinstance(judged, Permit):
            return {"outcome": "refused", "rule": judged.rule, "reason": judged.reason}
        block = await self._hub.submit(judged)
        enforced = await self._hub.settled(block.id, _PATIENCE)
        await self._hub.lift(block.id, by, "the test is over")
        lifted = await self._hub.settled(block.id, _PATIENCE)
        story = await self._hub.story(block.id)
        passed = (enforced.get(line), lifted.get(line)) == ("enforced", "lifted")
        answer = {"outcome": "passed" if passed else "failed", "block": block.id}
        return answer | {"enforced": enforced.get(line, ""), "lifted": lifted.get(line, "")} | _times(story, line)

    def _block(self, line: str, kind: TargetKind, by: str, reason: str) -> BlockPolicy:
        now = self._clock()
        return BlockPolicy(
            id=f"b-{secrets.token_hex(8)}",
            target=Target.of(kind, _HARMLESS[kind]),
            created=now,
            expires=now + _LIFE,
            cause=Cause(reason=f"a test of {line}: {reason}", by=by),
            lines=(line,),
        )


def _times(story: Story | None, line: str) -> Answer:
    """Milliseconds, as far as they are known."""
    part = story.lines.get(line) if story else None
    times = {"enforced_ms": part.enforced, "lifted_ms": part.lifted} if part else {}
    return {name: round(seconds * 1e3, 2) for name, seconds in times.items() if seconds is not None}
