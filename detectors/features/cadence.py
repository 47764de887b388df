"""The rhythm of a subject: mean, spread and entropy of the gaps between its events.

A batch job is regular, a person is bursty at human gaps. A machine that varies its gaps keeps a spread that people
have at a pace that they have not; the entropy of its gaps gives the rest away.
"""

from __future__ import annotations

from dataclasses import replace

from detectors.arrays import Array, Arrays
from detectors.features.damped import Damped, Turn

NAMES = ("gap_mean", "gap_spread", "gap_entropy", "gap_fast")
SCALE = 60.0  # seconds
_SHORTEST, _LONGEST = 1e-3, 3600.0  # seconds; gaps are clipped to this range
_BINS = 12  # half decades from 1 ms to 1000 s
_FAST = 4  # bins below 100 ms


class Cadence:
    """Damped sums of gaps, squared gaps and a histogram of gaps. Events count in the order in which they arrive."""

    def __init__(self, capacity: int, arrays: Arrays) -> None:
        self._xp = arrays.xp
        self._previous = self._xp.zeros(capacity)
        self._gaps = Damped(capacity, 3, (SCALE,), arrays)
        self._bins = self._xp.zeros((capacity, _BINS))

    def add(self, turn: Turn) -> None:
        """Take in one batch."""
        xp = self._xp
        self._previous[turn.fresh] = xp.nan
        order = xp.argsort(turn.group, kind="stable")
        group, times = turn.group[order], turn.times[order]
        first = xp.ones(len(group), bool)
        first[1:] = group[1:] != group[:-1]
        before = xp.empty(len(times))
        before[1:] = times[:-1]
        before[first] = self._previous[turn.slots[group[first]]]
        last = xp.ones(len(group), bool)
        last[:-1] = first[1:]
        self._previous[turn.slots[group[last]]] = times[last]
        gaps = xp.abs(times - before)
        has = ~xp.isnan(gaps)
        gaps = xp.clip(xp.where(has, gaps, 1.0), _SHORTEST, _LONGEST)
        sorted_turn = replace(turn, group=group, times=times, ages=turn.ages[order])
        self._gaps.add(sorted_turn, [has, gaps * has, gaps * gaps * has])
        self._count(sorted_turn, gaps, has)

    def _count(self, turn: Turn, gaps: Array, has: Array) -> None:
        xp = self._xp
        bins = xp.minimum((2 * (xp.log10(gaps) + 3)).astype(xp.int64), _BINS - 1)
        weights = xp.exp(-turn.ages / SCALE) * has
        counts = xp.bincount(turn.group * _BINS + bins, weights, len(turn.slots) * _BINS)
        aged = self._bins[turn.slots] * xp.exp(-turn.elapsed / SCALE)[:, None]
        self._bins[turn.slots] = aged + counts.reshape(-1, _BINS)

    def matrix(self, slots: Array) -> Array:
        """[slots, NAMES]: ln mean gap, ln(1 + squared variation), entropy in nats, share of gaps under 100 ms."""
        xp = self._xp
        sums = self._gaps.sums[slots, :, 0]
        count = xp.maximum(sums[:, 0], 1e-9)
        mean = xp.clip(sums[:, 1] / count, _SHORTEST, _LONGEST)
        variation = xp.maximum(sums[:, 2] / count / (mean * mean) - 1.0, 0.0)
        shares = self._bins[slots] / count[:, None]
        entropy = -(shares * xp.log(xp.maximum(shares, 1e-12))).sum(axis=1)
        fast = shares[:, :_FAST].sum(axis=1)
        known = sums[:, 0] > 1e-3  # with no gap yet there is no rhythm
        columns = (xp.where(known, xp.log(mean), 0.0), xp.log1p(variation), entropy, fast)
        return xp.stack([xp.where(known, column, 0.0) for column in columns], axis=1)
