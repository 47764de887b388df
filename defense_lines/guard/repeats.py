"""Repeats: a target that comes back after its block has ended is blocked for longer each time."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from defense_lines.guard.limits import GuardLimits
from policy import BlockPolicy, Target

_MOST = 100_000  # targets remembered; the one that was longest silent makes room
_TWICE = 2.0


class _Past(NamedTuple):
    times: int  # that it came back
    end: float  # Unix seconds


class Repeats:
    """What each target had, and what was taken back of it. Times are Unix seconds."""

    def __init__(self, limits: GuardLimits) -> None:
        self._limits = limits
        self._past: OrderedDict[Target, _Past] = OrderedDict()
        self._harmful: OrderedDict[Target, float] = OrderedDict()

    def longer(self, block: BlockPolicy, now: float) -> tuple[float, str]:
        """When the block is to end, and why later than it says; "" where it is as it says."""
        times = self._times(block.target, now)
        life = block.expires - block.created
        longer = min(life * _TWICE**times, self._limits.max_ttl_seconds)
        if longer <= life:
            return block.expires, ""
        return block.created + longer, f"comes back for the {times}. time: {longer:g} seconds instead of {life:g}"

    def permitted(self, block: BlockPolicy, now: float) -> None:
        """A block stands."""
        past = self._past.pop(block.target, None)
        end = max(block.expires, past.end) if past else block.expires
        self._past[block.target] = _Past(self._after(past, now), end)
        if len(self._past) > _MOST:
            self._past.popitem(last=False)

    def lifted(self, target: Target) -> None:
        """It was a mistake, and counts for nothing."""
        self._past.pop(target, None)

    def harmed(self, target: Target, now: float) -> None:
        """A block of this target did harm and was taken back."""
        self._harmful[target] = now
        self._harmful.move_to_end(target)
        if len(self._harmful) > _MOST:
            self._harmful.popitem(last=False)

    def harmful(self, target: Target, now: float) -> str | None:
        """Why a person has to look at a block of this target, or None."""
        harmed = self._harmful.get(target)
        if harmed is None or now - harmed > self._limits.repeat_seconds:
            return None
        return f"a block of it harmed good callers {now - harmed:.0f} seconds ago and was taken back"

    def _times(self, target: Target, now: float) -> int:
        return self._after(self._past.get(target), now)

    def _after(self, past: _Past | None, now: float) -> int:
        if past is None or now - past.end > self._limits.repeat_seconds:
            return 0
        return past.times + (past.end <= now)
