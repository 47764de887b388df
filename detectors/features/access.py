"""What is known of each actor from its requests: pace, refusals, novelty, breadth, rhythm, at five time scales."""

from __future__ import annotations

import numpy as np

from detectors.arrays import CPU, Array, Arrays
from detectors.features import cadence
from detectors.features.cadence import Cadence
from detectors.features.damped import SCALES, Turn, take_turn, window_names, windows
from detectors.features.due import News
from detectors.features.groups import Groups, by_actor
from detectors.features.hashing import KEY, hash_texts
from detectors.features.outcomes import request_outcome
from detectors.features.subjects import SubjectFeatures
from telemetry import EventBatch

_COUNTED = ("requests", "refused", "unauthenticated", "failed", "novel", "foreign", "new_paths", "log_bytes")
_WINDOWS = 2 * len(_COUNTED) * len(SCALES)
_MACHINES = ("agent:", "workload:")

NAMES: tuple[str, ...] = (
    *window_names(_COUNTED, SCALES),
    *cadence.NAMES,
    "is_machine",  # an agent or workload, by its id
    "is_anonymous",  # only its address is known
)


class AccessFeatures(SubjectFeatures):
    """State for at most `capacity` actors. "Novel" is a resource, by its identifier, that the actor never touched
    before; "foreign" is one that was novel and refused.
    """

    def __init__(self, capacity: int = 16_384, arrays: Arrays = CPU, key: int = KEY) -> None:
        xp = arrays.xp
        super().__init__(capacity, 2, len(_COUNTED), arrays, key)
        self._cadence = Cadence(capacity, arrays)
        self._kinds = xp.zeros((capacity, 2), xp.float32)  # is_machine, is_anonymous

    def learn(self, batch: EventBatch) -> None:
        """Take in requests that are `identified`, at most `capacity` rows in the order of time."""
        xp = self._arrays.xp
        groups = self._groups(batch)
        turn = take_turn(self.table, groups, batch.time, self._arrays)
        self._note_kinds(batch, turn)
        outcome = request_outcome(batch)
        refused, unauthenticated, failed = (
            xp.asarray(mask)[turn.order] for mask in (outcome.refused, outcome.unauthenticated, outcome.failed)
        )
        adverse = refused | unauthenticated
        self._note_since(turn, adverse)
        novel, new_paths = self._touch(batch, groups, turn)
        sent, received = (xp.maximum(xp.asarray(size, xp.float32), 0) for size in (batch.bytes_in, batch.bytes_out))
        sizes = xp.log1p(sent + received)
        ones = xp.ones(len(batch), bool)
        quantities = [ones, refused, unauthenticated, failed, novel, novel & refused, new_paths, sizes[turn.order]]
        sums = self._sums.add(turn, quantities)
        self._cadence.add(turn)
        due = self._due.take(turn, adverse | failed | novel)
        columns = self._columns(xp.take(sums, due, axis=0), turn.slots[due])
        self._latest = batch, News(groups.hashes[due], groups.last[due], columns)

    def since(self, hashes: Array) -> Array:
        """When each one's refusals began, or its latest event where it has none."""
        slots = self.table.find(hashes)
        return self._arrays.host(self._arrays.xp.minimum(self._since[slots], self.table.last[slots]))

    def _groups(self, batch: EventBatch) -> Groups:
        return by_actor(batch, self._arrays, self._key)

    def _by_slot(self) -> dict[str, Array]:
        return {**super()._by_slot(), "kinds": self._kinds, **self._cadence.by_slot()}

    def _columns(self, sums: Array, slots: Array) -> Array:
        xp = self._arrays.xp
        columns = xp.empty((len(sums), len(NAMES)), xp.float32)
        windows(columns, sums, self._arrays)
        columns[:, _WINDOWS:-2] = self._cadence.matrix(slots)
        columns[:, -2:] = xp.take(self._kinds, slots, axis=0)
        return columns

    def _touch(self, batch: EventBatch, groups: Groups, turn: Turn) -> tuple[Array, Array]:
        """Which rows, in the turn's order, touch a resource by a new identifier, and by a new path."""
        xp = self._arrays.xp
        subjects = groups.hashes[turn.group]
        codes = xp.asarray(batch.resource.codes)[turn.order]
        paths, ids = (xp.asarray(hashes)[codes] for hashes in hash_texts(batch.resource.values, self._key))
        novel = self._seen.mark(subjects, ids, turn.times)
        new_paths = self._seen.mark(subjects, ~paths, turn.times)
        return novel, new_paths

    def _note_kinds(self, batch: EventBatch, turn: Turn) -> None:
        """Whether each newcomer is a machine, or only an address."""
        xp = self._arrays.xp
        rows = self._arrays.host(turn.order[turn.starts[turn.strangers]])
        who = [batch.actor.text(row) for row in rows.tolist()]
        slots = turn.slots[turn.strangers]
        self._kinds[slots, 0] = xp.asarray(np.array([name.startswith(_MACHINES) for name in who], np.bool_))
        self._kinds[slots, 1] = xp.asarray(np.array([not name for name in who], np.bool_))

    def _note_since(self, turn: Turn, adverse: Array) -> None:
        """A row of refusals begins with the first one after the earlier ones have faded."""
        xp = self._arrays.xp
        self._since[turn.slots[turn.strangers]] = xp.inf
        rows = xp.flatnonzero(adverse)
        where, first, count = xp.unique(turn.group[rows], return_index=True, return_counts=True)
        slots = turn.slots[where]
        faded = self._sums.sums[slots, _FADING, 1:3].sum(axis=1) * xp.exp(-turn.elapsed[where] / SCALES[_FADING])
        self._since[slots] = xp.where(faded < _FADED, turn.times[rows[first]], self._since[slots])
        self.table.adverse[slots] += count


_FADED, _FADING = 0.05, 3  # of one refusal at the fourth time scale: half an hour later it no longer counts
