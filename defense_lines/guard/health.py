"""Health is what became of good callers' requests lately, second by second."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from defense_lines.guard.harm import Tally

_MOST = 5_000  # callers of one second; those beyond are left out, of good and of bad ones alike


class _Slice:
    def __init__(self) -> None:
        self.callers: set[str] = set()
        self.failing: set[str] = set()


class Health:
    """Keeps `seconds` of it. Times are Unix seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._slices: OrderedDict[int, _Slice] = OrderedDict()

    def saw(self, passed: Iterable[str], failed: Iterable[str], now: float) -> None:
        """Good callers of whom a request passed, and of whom one failed."""
        kept = self._slices.setdefault(int(now), _Slice())
        for caller in failed:
            if caller in kept.callers or len(kept.callers) < _MOST:
                kept.callers.add(caller)
                kept.failing.add(caller)
        room = _MOST - len(kept.callers)
        kept.callers.update(caller for caller, _ in zip(passed, range(max(0, room)), strict=False))
        while self._slices and next(iter(self._slices)) < now - self._seconds:
            self._slices.popitem(last=False)

    @property
    def failing(self) -> int:
        """Good callers of whom a request failed, in all that is kept."""
        return len(set().union(*(kept.failing for kept in self._slices.values())))

    def tally(self, since: int, until: int) -> Tally:
        """Of the seconds from one on and before another."""
        within = [kept for second, kept in self._slices.items() if since <= second < until]
        callers: set[str] = set().union(*(kept.callers for kept in within))
        failing: set[str] = set().union(*(kept.failing for kept in within))
        return Tally(len(callers), len(failing))
