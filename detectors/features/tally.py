"""How often each of many things has been counted so far, row by row of a batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU, Array
from detectors.features.damped import take_turn
from detectors.features.groups import group
from detectors.features.hashing import Hashes
from detectors.features.table import Table

Numbers = NDArray[np.float64]


class Tally:
    """Counts of at most `capacity` things; the one that is longest out of use and least counted is forgotten first."""

    def __init__(self, capacity: int) -> None:
        self.table = Table(capacity, CPU)
        self._counts = np.zeros(capacity)

    def before(self, things: Hashes, counted: NDArray[np.bool_], times: Numbers) -> Numbers:
        """[n] how often each row's thing was counted before it, by rows in the order of time; those that `counted`
        names count from then on.
        """
        if not len(things):
            return np.empty(0)
        groups = group(np.arange(len(things)), things, CPU)
        turn = take_turn(self.table, groups, times, CPU)
        self._counts[turn.slots[turn.strangers]] = 0.0
        marks = counted[turn.order].astype(np.float64)
        earlier = np.cumsum(marks) - marks
        known = self._counts[turn.slots] - earlier[turn.starts]
        before = np.empty(len(things))
        before[turn.order] = earlier + known[turn.group]
        self._counts[turn.slots] += np.bincount(turn.group, marks, len(turn.slots))
        return before

    def state(self) -> dict[str, Array]:
        """What `restore` needs."""
        return self.table.state(self.table.held(), {"counts": self._counts})

    def restore(self, state: Mapping[str, Array]) -> None:
        """Know what another one knew."""
        self.table.restore(state, {"counts": self._counts})
