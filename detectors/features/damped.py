"""Exponentially damped sums: an event that is `age` seconds old counts exp(-age / scale) at each time scale.

The sums do not depend on how events are cut into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from detectors.arrays import Array, Arrays, put_rows
from detectors.features.groups import Groups
from detectors.features.table import Table


@dataclass(frozen=True, slots=True)
class Turn:
    """One batch as the state arrays need it: G subjects, n rows in the order of `Groups.order`."""

    slots: Array  # [G] slot of each subject
    strangers: Array  # places among them of those who are new
    order: Array  # [n] which row of the batch each is
    group: Array  # [n] its place among the subjects, never falling
    starts: Array  # [G] where each subject's rows begin
    ends: Array  # [G] where each one's last row is
    times: Array  # [n] Unix seconds
    ages: Array  # [n] seconds before the subject's latest event
    elapsed: Array  # [G] seconds since the subject's latest event before this batch, infinite for a new one

    def earlier(self, values: Array, before: Array) -> Array:
        """[n] of each row's subject the value [n] one row before; at its first row what it had `before` [G]."""
        earlier = values.copy()
        earlier[1:] = values[:-1]
        earlier[self.starts] = before
        return earlier


_FEW = 8192  # rows that are added together
_SPARSE = 4  # fewer rows than one in so many are counted by themselves
SCALES = (1.0, 10.0, 60.0, 600.0, 7200.0)  # seconds, of subjects whose habits count
_LATEST = 1e11  # Unix seconds; beyond it a time is nonsense and is cut to it


def take_turn(table: Table, groups: Groups, times: Array, arrays: Arrays) -> Turn:
    """Admit a batch's subjects and move their clocks on. Rows in the order of time, at most `table.capacity`."""
    xp = arrays.xp
    slots, strangers = table.admit(groups.hashes)
    moments = xp.asarray(times)[groups.order]
    moments = xp.where(moments > 0.0, xp.minimum(moments, _LATEST), 0.0)  # 0 for what is no number, too
    group, ends = groups.of_row[groups.order], groups.ends
    before = table.last[slots]
    latest = xp.maximum(before, moments[ends])
    table.last[slots] = latest
    table.events[slots] += ends - groups.starts + 1
    ages = xp.maximum(latest[group] - moments, 0.0)  # of a row that came too late for its order, none
    return Turn(slots, strangers, groups.order, group, groups.starts, ends, moments, ages, latest - before)


class Damped:
    """Sums of some quantities at some time scales, for every slot: `sums[slot, scale, quantity]`."""

    def __init__(self, capacity: int, quantities: int, scales: Sequence[float], arrays: Arrays) -> None:
        xp = self._xp = arrays.xp
        self._scales = tuple(scales)
        self._rates = -1 / xp.array(scales, xp.float32)
        self.sums = xp.zeros((capacity, len(scales), quantities), xp.float32)

    def add(self, turn: Turn, quantities: Sequence[Array]) -> Array:
        """Age what is there and add each row's quantities: [n] each, in the turn's order; a mask counts its rows.

        Returns the subjects' sums, [G, scales, quantities].
        """
        xp = self._xp
        sums = xp.take(self.sums, turn.slots, axis=0)
        sums *= xp.exp(turn.elapsed.astype(xp.float32)[:, None] * self._rates)[:, :, None]
        sums[turn.strangers] = 0.0
        (self._add_few if len(turn.times) <= _FEW else self._add_many)(sums, turn, quantities)
        put_rows(self.sums, turn.slots, sums)
        return sums

    def _add_few(self, sums: Array, turn: Turn, quantities: Sequence[Array]) -> None:
        """All quantities together: it is the number of calls that counts."""
        xp = self._xp
        values = xp.empty((len(turn.times), len(quantities)), xp.float32)
        for place, column in enumerate(quantities):
            values[:, place] = column
        newest = turn.ages[turn.ends] == 0.0  # each subject's last row, unless it came late
        sums += (values[turn.ends] * newest[:, None])[:, None, :]
        left = xp.ones(len(values), bool)
        left[turn.ends[newest]] = False
        rows = xp.flatnonzero(left)
        if not len(rows):
            return
        groups, group = _runs(turn.group[rows], xp)
        row, quantity = xp.nonzero(values[rows])
        cells, ages = values[rows][row, quantity], turn.ages[rows].astype(xp.float32)
        places, room = group[row] * len(quantities) + quantity, len(groups) * len(quantities)
        for place, rate in enumerate(self._rates):
            totals = xp.bincount(places, cells * xp.exp(ages * rate)[row], room)
            sums[groups, place] += totals.reshape(len(groups), len(quantities)).astype(xp.float32)

    def _add_many(self, sums: Array, turn: Turn, quantities: Sequence[Array]) -> None:
        """Each quantity by itself: of most there is little, and what a call reads stays in a core's cache."""
        xp = self._xp
        old = xp.flatnonzero(turn.ages)
        weights = [self._weights(turn, old, scale) for scale in self._scales]
        for quantity, values in enumerate(quantities):
            rows = xp.flatnonzero(values)
            if len(rows) * _SPARSE > len(values):
                sums[:, :, quantity] += self._totals(turn.group, len(sums), values, weights).T
            elif len(rows):
                where, group = _runs(turn.group[rows], xp)
                some = [weight[rows] for weight in weights]
                sums[where, :, quantity] += self._totals(group, len(where), values[rows], some).T

    def _totals(self, group: Array, groups: int, values: Array, weights: Sequence[Array]) -> Array:
        """[scales, groups]"""
        totals = self._xp.empty((len(weights), groups), self._xp.float32)
        for place, weight in enumerate(weights):
            totals[place] = self._xp.bincount(group, values * weight, groups)
        return totals

    def _weights(self, turn: Turn, old: Array, scale: float) -> Array:
        weights = self._xp.ones(len(turn.times))
        weights[old] = self._xp.exp(turn.ages[old] / -scale)
        return weights


def _runs(group: Array, xp: ModuleType) -> tuple[Array, Array]:
    """Of numbers that never fall: each once, and which of them each row is."""
    first = xp.ones(len(group), bool)
    first[1:] = group[1:] != group[:-1]
    return group[first], xp.cumsum(first) - 1


def windows(columns: Array, sums: Array, arrays: Arrays) -> None:
    """Write sums [G, scales, quantities], the first quantity the number of events, into the first columns of a model's
    matrix: all the sums; then, scale by scale, how the number compares with that of the next larger scale (1 for the
    largest), and each other sum's share of the number.
    """
    xp = arrays.xp
    groups, scales, quantities = sums.shape
    wide = scales * quantities
    columns[:, :wide] = sums.reshape(groups, wide)
    shares = columns[:, wide : 2 * wide].reshape(groups, scales, quantities)
    numbers = xp.maximum(sums[:, :, 0], xp.float32(1e-9))
    xp.multiply(sums, (1 / numbers)[:, :, None], out=shares)
    shares[:, :-1, 0] = numbers[:, :-1] / numbers[:, 1:]


def window_names(quantities: Sequence[str], scales: Sequence[float]) -> tuple[str, ...]:
    """Of the columns that `windows` writes."""
    sums = [f"{what}_{scale:g}s" for scale in scales for what in quantities]
    shares = [
        f"{what}_share_{scale:g}s" if place else f"burst_{scale:g}s"
        for scale in scales
        for place, what in enumerate(quantities)
    ]
    return (*sums, *shares)
