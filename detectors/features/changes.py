"""How much a subject's flows differ each from the one before: in the gap, in what was sent and received, in length.

A program that calls home says the same again and again, and its gaps stay within its jitter. A difference of
neighbours forgives a pause, which a spread about the mean does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from detectors.arrays import Array, Arrays
from detectors.features.damped import Damped, Turn

_SMALLEST = 1.0  # a difference under one (bytes, seconds) is none
_MOST = 4.0  # e-folds by which two neighbours count as different at most


class Changes:
    """Damped mean of |ln of a value - ln of the one before| for each of some series."""

    def __init__(self, capacity: int, series: int, scale: float, arrays: Arrays) -> None:
        self._xp = arrays.xp
        self.before = arrays.xp.zeros((capacity, series), arrays.xp.float32)  # ln of the last value; NaN for none
        self.sums = Damped(capacity, 2 * series, (scale,), arrays)

    def add(self, turn: Turn, values: Sequence[Array]) -> None:
        """Take in [n] of each series, in the turn's order; 0 or more, NaN where a row has none."""
        xp = self._xp
        quantities = []
        self.before[turn.slots[turn.strangers]] = xp.nan
        for place, column in enumerate(values):
            logs = xp.log(_SMALLEST + column).astype(xp.float32)
            change = xp.abs(logs - turn.earlier(logs, self.before[turn.slots, place]))
            self.before[turn.slots, place] = logs[turn.ends]
            has = ~xp.isnan(change)
            quantities += [has, xp.where(has, xp.minimum(change, _MOST), 0.0)]
        self.sums.add(turn, quantities)

    def by_slot(self) -> dict[str, Array]:
        """All that is known, arrays by slot, by name."""
        return {"before": self.before, "changes": self.sums.sums}

    def matrix(self, slots: Array) -> Array:
        """[slots, series] the mean change; -1 where there is none yet."""
        xp = self._xp
        sums = self.sums.sums[slots, 0]
        counts, totals = sums[:, 0::2], sums[:, 1::2]
        return xp.where(counts > 1e-3, totals / xp.maximum(counts, xp.float32(1e-3)), xp.float32(-1))
