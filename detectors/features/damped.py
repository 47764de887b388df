"""Exponentially damped sums: an event that is `age` seconds old counts exp(-age / scale) at each time scale.

The sums do not depend on how events are cut into batches, nor on their order within a subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detectors.arrays import Array, Arrays
from detectors.features.subjects import Groups, Subjects


@dataclass(frozen=True, slots=True)
class Turn:
    """One batch as the state arrays need it; G subjects, n rows."""

    slots: Array  # [G] slot of each subject
    fresh: Array  # slots among them that are new
    group: Array  # [n] each row's place among the subjects
    times: Array  # [n] Unix seconds
    ages: Array  # [n] seconds before the subject's latest event
    elapsed: Array  # [G] seconds since the subject's latest event before this batch, infinite for a new one


_LATEST = 1e11  # Unix seconds; beyond it a time is nonsense and is cut to it


class Clocks:
    """Slots of the subjects, and the time of each one's latest event."""

    def __init__(self, capacity: int, arrays: Arrays) -> None:
        self.subjects = Subjects(capacity)
        self._arrays = arrays
        self._last = arrays.xp.zeros(capacity)

    def turn(self, groups: Groups, times: Array) -> Turn:
        """Admit a batch's subjects and move their clocks on. At most `capacity` subjects."""
        xp = self._arrays.xp
        host_slots, host_fresh = self.subjects.admit(groups.keys)
        slots, fresh, group, moments = (xp.asarray(a) for a in (host_slots, host_fresh, groups.of_row, times))
        moments = xp.clip(xp.nan_to_num(moments, nan=0.0), 0.0, _LATEST)
        self._last[fresh] = -xp.inf
        before = self._last[slots]
        latest = before.copy()
        xp.maximum.at(latest, group, moments)
        self._last[slots] = latest
        return Turn(slots, fresh, group, moments, latest[group] - moments, latest - before)


class Damped:
    """Sums of some quantities at some time scales, for every slot: `sums[slot, quantity, scale]`."""

    def __init__(self, capacity: int, quantities: int, scales: Sequence[float], arrays: Arrays) -> None:
        self._xp = arrays.xp
        self._scales = self._xp.array(scales)
        self.sums = self._xp.zeros((capacity, quantities, len(scales)))

    def add(self, turn: Turn, quantities: Sequence[Array]) -> None:
        """Age what is there (a new subject's slot to nothing) and add each row's quantities, [n] each."""
        aged = self.sums[turn.slots] * self._xp.exp(-turn.elapsed[:, None] / self._scales)[:, None, :]
        weights = self._xp.exp(-turn.ages / self._scales[:, None])
        add = self._add_few if len(turn.times) <= _FEW else self._add_many
        add(aged, turn.group, weights, quantities)
        self.sums[turn.slots] = aged

    def _add_many(self, aged: Array, group: Array, weights: Array, quantities: Sequence[Array]) -> None:
        for quantity, values in enumerate(quantities):
            for place in range(len(weights)):
                aged[:, quantity, place] += self._xp.bincount(group, values * weights[place], len(aged))

    def _add_few(self, aged: Array, group: Array, weights: Array, quantities: Sequence[Array]) -> None:
        """The same with one call for all: the calls cost more than the sums."""
        cells = self._xp.arange(len(quantities) * len(weights))
        values = self._xp.stack(quantities, axis=1)[:, :, None] * weights.T[:, None, :]
        index = group[:, None] * len(cells) + cells
        aged += self._xp.bincount(index.ravel(), values.ravel(), aged.size).reshape(aged.shape)


_FEW = 300  # rows
