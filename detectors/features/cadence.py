"""The rhythm of a subject: mean, spread and entropy of the gaps between its events.

A batch job is regular, a person is bursty at human gaps. A machine that varies its gaps keeps a spread that people
have at a pace that they have not; the entropy of its gaps gives the rest away.
"""

from __future__ import annotations

from detectors.arrays import Array, Arrays, put_rows
from detectors.features.damped import Damped, Turn

NAMES = ("gap_mean", "gap_spread", "gap_entropy", "gap_fast")
SCALE = 60.0  # seconds
_SHORTEST, _LONGEST = 1e-3, 3600.0  # seconds; gaps are clipped to this range
_BINS = 12  # half decades from 1 ms to 1000 s
_FAST = 4  # bins below 100 ms


class Cadence:
    """Damped sums of gaps, squared gaps and a histogram of gaps. Events count in the order in which they arrive."""

    def __init__(self, capacity: int, arrays: Arrays, scale: float = SCALE) -> None:
        self._xp = arrays.xp
        self._scale = scale
        self.previous = self._xp.zeros(capacity)
        self.gaps = Damped(capacity, 3, (scale,), arrays)
        self.bins = self._xp.zeros((capacity, _BINS), self._xp.float32)

    def add(self, turn: Turn) -> Array:
        """Take in one batch. Returns the gaps, [n] seconds since the row before; NaN for a subject's first."""
        xp = self._xp
        previous = self.previous[turn.slots]
        previous[turn.strangers] = xp.nan
        apart = xp.abs(turn.times - turn.earlier(turn.times, previous))
        self.previous[turn.slots] = turn.times[turn.ends]
        has = ~xp.isnan(apart)
        gaps = xp.clip(xp.where(has, apart, 1.0), _SHORTEST, _LONGEST)
        self.gaps.add(turn, [has, gaps * has, gaps * gaps * has])
        self._count(turn, gaps, has)
        return apart

    def _count(self, turn: Turn, gaps: Array, has: Array) -> None:
        xp = self._xp
        bins = xp.minimum((xp.log10(gaps.astype(xp.float32)) * 2 + 6).astype(xp.int64), _BINS - 1)
        weights = xp.exp((turn.ages / -self._scale).astype(xp.float32)) * has
        counts = xp.bincount(turn.group * _BINS + bins, weights, len(turn.slots) * _BINS)
        aged = (
            xp.take(self.bins, turn.slots, axis=0) * xp.exp((turn.elapsed / -self._scale).astype(xp.float32))[:, None]
        )
        aged[turn.strangers] = 0.0
        aged += counts.reshape(-1, _BINS)
        put_rows(self.bins, turn.slots, aged)

    def by_slot(self) -> dict[str, Array]:
        """All that is known, arrays by slot, by name."""
        return {"previous": self.previous, "gaps": self.gaps.sums, "bins": self.bins}

    def matrix(self, slots: Array) -> Array:
        """[slots, NAMES]: ln mean gap, ln(1 + squared variation), entropy in nats, share of gaps under 100 ms.

        The entropy of shares b / n is ln n - (sum of b ln b) / n.
        """
        xp = self._xp
        sums, bins = xp.take(self.gaps.sums[:, 0], slots, axis=0), xp.take(self.bins, slots, axis=0)
        columns = xp.zeros((len(sums), len(NAMES)), xp.float32)
        known = sums[:, 0] > 1e-3  # with no gap yet there is no rhythm
        count = xp.where(known, sums[:, 0], xp.float32(1))
        mean = xp.clip(sums[:, 1] / count, _SHORTEST, _LONGEST)
        logs = xp.einsum("ij->i", bins * xp.log(xp.maximum(bins, xp.float32(1e-12))))
        columns[:, 0] = xp.log(mean)
        columns[:, 1] = xp.log1p(xp.maximum(sums[:, 2] / count / (mean * mean) - 1.0, 0.0))
        columns[:, 2] = xp.maximum(xp.log(count) - logs / count, 0.0)
        columns[:, 3] = xp.einsum("ij->i", bins[:, :_FAST]) / count
        columns[~known] = 0.0
        return columns
