"""Which events are read where not all can be: all of them up to a number a second, and one in so many beyond it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FULL, _THIN = 8192, 32  # events of a second that are all taken in; of those beyond, one in so many
Mask = NDArray[np.bool_]


class Sample:
    """Which events are read, however many come: all up to _FULL a second, then one in _THIN."""

    def __init__(self) -> None:
        self.second, self.count = 0.0, 0

    def take(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        """Places of those that are read, [n] events in the order of time. Late ones count in the second that is."""
        if not len(times):
            return np.empty(0, np.int64)
        seconds = np.fmax(np.floor(times), self.second)  # no number counts as late
        starts = np.concatenate([[0], np.flatnonzero(seconds[1:] != seconds[:-1]) + 1])
        lengths = np.diff(starts, append=len(times))
        before = self.count if seconds[0] == self.second else 0
        self.second, self.count = float(seconds[-1]), int(lengths[-1]) + (before if len(starts) == 1 else 0)
        if before + lengths.max() <= _FULL:
            return np.arange(len(times))
        return np.flatnonzero(self._taken(starts, lengths, before))

    def _taken(self, starts: NDArray[np.int64], lengths: NDArray[np.int64], before: int) -> Mask:
        taken = np.ones(int(lengths.sum()), np.bool_)
        for run in np.flatnonzero(lengths + before > _FULL).tolist():
            begin, counted = int(starts[run]), before if run == 0 else 0
            beyond = slice(begin + max(0, _FULL - counted), begin + int(lengths[run]))
            counts = counted - begin + np.arange(beyond.start, beyond.stop)
            taken[beyond] = counts % _THIN == 0
        return taken
