"""What is usual, and how surprising it is what an actor does for the first time: an operation, a place, a time of day.

Nothing is learnt from labels. Surprise is -ln of how likely a thing is: an operation by the share of the service's
other actors who did it; where nobody did, by how often things turn up in that service that nobody did before (Good
and Turing, 1953), so that free texts in paths surprise nobody. A place by how often actors of its kind change theirs;
a time of day by the actor's own days, and as far as there are few, by those of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU, Array
from detectors.features.damped import Damped, Turn, take_turn
from detectors.features.groups import Groups, blank, by_actor
from detectors.features.hashing import KEY, Hashes, hash_rows, mix
from detectors.features.operations import first_letters, operations
from detectors.features.sample import Sample
from detectors.features.seen import Seen
from detectors.features.table import Table
from detectors.features.tally import Tally
from telemetry import EventBatch

SCALE = 600.0  # seconds within which surprises add up
STRANGE = 10.0  # of their sum: of an actor beyond it nothing is learnt as usual
_MOST = 12.0  # of one surprise
_STRETCH, _HOURS = 10_800.0, 8  # seconds of a time of day, and how many a day has
_OWN = 5.0  # stretches of its own that weigh as much as what its kind does
_FADED = 1.0  # a sum of surprises that has begun anew
_SALTS = {
    name: mix(np.array([number]))[0]
    for number, name in enumerate(("did", "first", "touched", "user", "moved", "actor", "at", "came"), 1)
}
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


class _Rows(NamedTuple):
    """n rows in the order of time."""

    actors: Hashes
    kinds: Hashes  # of actor: a person, an agent, a workload
    services: Hashes  # as its kind uses them
    done: Hashes  # operations, as its kind does them
    times: Numbers
    new: Mask  # the actor's first row at all
    ordinary: Mask  # its actor did nothing strange before this batch


class Habits:
    """State for at most `capacity` actors, who are sampled where there are many (`Sample`)."""

    def __init__(self, capacity: int = 16_384, key: int = KEY) -> None:
        self._key = key
        self._sample = Sample()
        self.table = Table(capacity, CPU)
        self._tally = Tally(capacity)
        self._seen = Seen(capacity, CPU)
        self._sums = Damped(capacity, 3, (SCALE,), CPU)  # of operations, places, times
        self._since = np.zeros(capacity)  # Unix seconds
        self._stretch = np.zeros(capacity)  # the latest in which it was there
        self._hours = np.zeros((capacity, _HOURS), np.float32)  # in so many stretches of that time of day
        self._latest: tuple[EventBatch, Groups, NDArray[np.int64]] | None = None  # learnt last, and what was read of it

    def learn(self, batch: EventBatch) -> None:
        """Take in requests that all have an actor, at most `capacity` rows in the order of time."""
        chosen = self._sample.take(batch.time)
        part = batch if len(chosen) == len(batch) else batch.take(chosen)
        groups = by_actor(part, CPU, self._key)
        self._latest = batch, groups, chosen
        if len(part):
            self._take_in(part, groups)

    def of(self, batch: EventBatch) -> tuple[Hashes, NDArray[np.int64]]:
        """The actors of a batch, of the one learnt last those that were read; and each one's last row."""
        if self._latest and batch is self._latest[0]:
            _, groups, chosen = self._latest
            return groups.hashes, chosen[groups.last]
        groups = by_actor(batch, CPU, self._key)
        return groups.hashes, groups.last

    def surprise(self, actors: Hashes) -> Numbers:
        """[actors, 3] sums, at each one's latest event, over operations, places and times; a stranger's are 0."""
        slots = self.table.find(actors)
        sums: Numbers = self._sums.sums[slots, 0].astype(np.float64) * (slots >= 0)[:, None]
        return sums

    def since(self, actors: Hashes) -> Numbers:
        """When each one's present row of surprises began."""
        since: Numbers = self._since[self.table.find(actors)]
        return since

    def state(self) -> dict[str, Array]:
        """All that is known, for `restore`."""
        tallied = {f"tally_{name}": part for name, part in self._tally.state().items()}
        sampled = {"sampled": np.array([self._sample.second, self._sample.count])}
        return {**self.table.state(self.table.held(), self._by_slot()), **tallied, **self._seen.state(), **sampled}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Know what another one knew; where fewer fit, the most interesting."""
        self.table.restore(state, self._by_slot())
        tallied = {name.removeprefix("tally_"): part for name, part in state.items() if name.startswith("tally_")}
        self._tally.restore(tallied)
        self._seen.restore(state)
        self._sample.second, self._sample.count = float(state["sampled"][0]), int(state["sampled"][1])
        self._latest = None

    def _by_slot(self) -> dict[str, Array]:
        return {"sums": self._sums.sums, "since": self._since, "stretch": self._stretch, "hours": self._hours}

    def _take_in(self, part: EventBatch, groups: Groups) -> None:
        turn = take_turn(self.table, groups, part.time, CPU)
        faded = self._faded(turn)
        rows = self._rows(part, groups, turn, faded[groups.of_row] < STRANGE)
        surprises = [self._done(rows)[turn.order], self._places(part, rows)[turn.order], self._times(turn, rows)]
        self._note_since(turn, faded, np.add.reduce(surprises))
        self._sums.add(turn, surprises)

    def _rows(self, part: EventBatch, groups: Groups, turn: Turn, ordinary: Mask) -> _Rows:
        every = np.arange(len(part))
        times, new = np.empty(len(part)), np.zeros(len(part), np.bool_)
        times[turn.order] = turn.times
        new[turn.order[turn.starts[turn.strangers]]] = True
        kinds = mix(first_letters(part.actor))
        services = hash_rows(part.service, every, self._key) ^ kinds
        done = operations(part, self._key) ^ kinds
        return _Rows(groups.hashes[groups.of_row], kinds, services, done, times, new, ordinary)

    def _done(self, rows: _Rows) -> Numbers:
        """[n] how surprising each row's operation is."""
        uses = self._seen.mark(rows.actors, ~rows.services, rows.times)
        does = self._seen.mark(rows.actors, rows.done, rows.times)
        at, learnt = _some(rows, uses | does)
        does, uses = does[at], uses[at] & learnt
        others = self._counted("did", rows.done, rows, at, does & learnt)
        users = self._counted("user", rows.services, rows, at, uses)
        firsts = self._counted("first", rows.services, rows, at, does & learnt & (others == 0))
        touches = self._counted("touched", rows.services, rows, at, does & learnt)
        likely = np.maximum(others / (users + 1), (firsts + 1) / (touches + 2))
        return _surprises(len(rows.times), at[does], likely[does])

    def _places(self, part: EventBatch, rows: _Rows) -> Numbers:
        """[n] how surprising it is that the actor comes from there."""
        places = mix(hash_rows(part.address, np.arange(len(part)), self._key))
        comes = self._seen.mark(rows.actors, places, rows.times) & ~blank(part.address)
        at, learnt = _some(rows, comes | rows.new)
        moves = (comes & ~rows.new)[at]
        moved = self._counted("moved", rows.kinds, rows, at, moves & learnt)
        actors = self._counted("actor", rows.kinds, rows, at, rows.new[at])
        return _surprises(len(rows.times), at[moves], ((moved + 1) / (actors + 1))[moves])

    def _times(self, turn: Turn, rows: _Rows) -> Numbers:
        """[n], in the turn's order: how surprising it is that the actor is there at that time of day."""
        stretches = np.floor(turn.times / _STRETCH)
        came = stretches != turn.earlier(stretches, self._stretch[turn.slots])
        came[turn.starts[turn.strangers]] = True
        self._stretch[turn.slots] = stretches[turn.ends]
        self._hours[turn.slots[turn.strangers]] = 0.0
        order = np.flatnonzero(came)
        order = order[np.argsort(turn.order[order])]
        at, slots, hours = (
            turn.order[order],
            turn.slots[turn.group[order]],
            (stretches[order] % _HOURS).astype(np.int64),
        )
        learnt = rows.ordinary[at]
        of_kind = self._counted("came", rows.kinds, rows, at, learnt)
        there = self._tally.before(mix(rows.kinds[at] ^ _SALTS["at"] ^ mix(hours)), learnt, rows.times[at])
        own, all_own = self._hours[slots, hours], self._hours[slots].sum(axis=1)
        likely = (own + _OWN * (there + 1) / (of_kind + _HOURS)) / (all_own + _OWN)
        np.add.at(self._hours, (slots, hours), learnt)
        return _surprises(len(rows.times), order[all_own > 0], (likely * _HOURS)[all_own > 0])

    def _counted(self, what: str, things: Hashes, rows: _Rows, at: NDArray[np.int64], counted: Mask) -> Numbers:
        """[at] how often each one's thing was counted before."""
        return self._tally.before(mix(things[at] ^ _SALTS[what]), counted, rows.times[at])

    def _faded(self, turn: Turn) -> Numbers:
        """[G] what is left of each actor's sum when its batch begins."""
        left: Numbers = self._sums.sums[turn.slots, 0].sum(axis=1) * np.exp(-turn.elapsed / SCALE)
        left[turn.strangers] = 0.0
        return left

    def _note_since(self, turn: Turn, faded: Numbers, surprises: Numbers) -> None:
        """A row of surprises begins with the first one after the earlier ones have faded."""
        self._since[turn.slots[turn.strangers]] = turn.times[turn.starts[turn.strangers]]
        rows = np.flatnonzero(surprises)
        where, first = np.unique(turn.group[rows], return_index=True)
        anew = faded[where] < _FADED
        self._since[turn.slots[where[anew]]] = turn.times[rows[first[anew]]]


def _some(rows: _Rows, chosen: Mask) -> tuple[NDArray[np.int64], Mask]:
    """The rows that are chosen, and which of them are learnt from."""
    at = np.flatnonzero(chosen)
    return at, rows.ordinary[at]


def _surprises(count: int, at: NDArray[np.int64], likely: Numbers) -> Numbers:
    """[count] -ln of what is likely at some rows, 0 at all others."""
    surprises = np.zeros(count)
    surprises[at] = np.clip(-np.log(np.maximum(likely, 1e-12)), 0.0, _MOST)
    return surprises
