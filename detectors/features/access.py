"""What is known of each actor from its requests: pace, refusals, novelty, breadth, rhythm, at four time scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import CPU, Array, Arrays
from detectors.features import cadence
from detectors.features.cadence import Cadence
from detectors.features.damped import Clocks, Damped, Turn
from detectors.features.hashing import hash_rows
from detectors.features.outcomes import RequestOutcome, request_outcome
from detectors.features.seen import Seen
from detectors.features.subjects import Groups, Key, by_actor, identified
from telemetry import EventBatch

SCALES = (1.0, 10.0, 60.0, 600.0)  # seconds
_COUNTED = ("requests", "refused", "unauthenticated", "failed", "novel", "foreign", "new_paths", "log_bytes")
_SHARES = ("refused", "unauthenticated", "failed", "novel", "foreign", "new_paths", "log_bytes")
_MACHINES = ("agent:", "workload:")

NAMES: tuple[str, ...] = (
    *(f"{what}_{scale:g}s" for what in _COUNTED[:-1] for scale in SCALES),  # ln(1 + damped count)
    *(f"{what}_share_{scale:g}s" for what in _SHARES for scale in SCALES),  # of the requests; log_bytes: the mean
    *cadence.NAMES,
    "distinct_ids",  # ln(1 + resources by identifier), of a day
    "distinct_paths",
    "is_machine",  # an agent or workload, by its id
    "is_anonymous",  # only its address is known
)


class AccessFeatures:
    """State for at most `capacity` actors. "Novel" is a resource, by its identifier, that the actor never touched
    before; "foreign" is one that was novel and refused.
    """

    def __init__(self, capacity: int = 16_384, arrays: Arrays = CPU) -> None:
        self._arrays = arrays
        self.clocks = Clocks(capacity, arrays)
        self._sums = Damped(capacity, len(_COUNTED), SCALES, arrays)
        self._ids, self._paths = Seen(capacity, arrays), Seen(capacity, arrays)
        self._cadence = Cadence(capacity, arrays)
        self._kinds = arrays.xp.zeros((capacity, 2))  # is_machine, is_anonymous
        self._latest: tuple[EventBatch | None, Groups] = (None, Groups((), np.empty(0, np.int64)))  # learnt last
        self._since = arrays.xp.zeros(capacity)  # Unix seconds of the first refusal of the present row of them

    def learn(self, batch: EventBatch) -> None:
        """Take in requests; at most `capacity` rows."""
        batch = identified(batch)
        if not len(batch):
            return
        groups = by_actor(batch)
        self._latest = (batch, groups)
        turn = self.clocks.turn(groups, batch.time)
        self._note_kinds(turn)
        outcome = request_outcome(batch)
        self._note_since(turn, outcome)
        self._sums.add(turn, self._quantities(batch, turn, outcome))
        self._cadence.add(turn)

    def matrix(self, keys: Sequence[Key]) -> Array:
        """[keys, NAMES] at each one's latest event; a stranger's row is all zeros."""
        xp = self._arrays.xp
        slots = xp.asarray(self.clocks.subjects.find(keys))
        parts = (self._windows(slots), self._cadence.matrix(slots), self._breadth(slots), self._kinds[slots])
        columns = xp.concatenate(parts, axis=1)
        columns[slots < 0] = 0.0
        return columns

    def since(self, keys: Sequence[Key]) -> Array:
        """When each one's refusals began, or its latest event where it has none."""
        return self._arrays.host(self._since[self._arrays.xp.asarray(self.clocks.subjects.find(keys))])

    def groups(self, batch: EventBatch) -> Groups:
        """The actors of a batch whose rows are `identified`."""
        return self._latest[1] if batch is self._latest[0] else by_actor(batch)

    def _quantities(self, batch: EventBatch, turn: Turn, outcome: RequestOutcome) -> list[Array]:
        xp = self._arrays.xp
        for seen in (self._ids, self._paths):
            seen.clear(turn.fresh)
        slots = turn.slots[turn.group]
        paths, ids = (xp.asarray(hashes) for hashes in hash_rows(batch.resource))
        novel = self._ids.mark(slots, ids, turn.times)
        new_paths = self._paths.mark(slots, paths, turn.times)
        refused, unauthenticated, failed = map(xp.asarray, (outcome.refused, outcome.unauthenticated, outcome.failed))
        sizes = np.log1p(np.maximum(batch.bytes_in, 0).astype(float) + np.maximum(batch.bytes_out, 0))
        ones = xp.ones(len(batch))
        return [ones, refused, unauthenticated, failed, novel, novel & refused, new_paths, xp.asarray(sizes)]

    def _windows(self, slots: Array) -> Array:
        xp = self._arrays.xp
        sums = self._sums.sums[slots]
        counts = xp.log1p(sums[:, :-1])
        shares = sums[:, 1:] / xp.maximum(sums[:, :1], 1e-9)
        width = (len(_COUNTED) - 1) * len(SCALES)
        return xp.concatenate([counts.reshape(-1, width), shares.reshape(-1, width)], axis=1)

    def _breadth(self, slots: Array) -> Array:
        xp = self._arrays.xp
        return xp.log1p(xp.stack([self._ids.distinct(slots), self._paths.distinct(slots)], axis=1))

    def _note_kinds(self, turn: Turn) -> None:
        for slot in turn.fresh.tolist():
            kind, name = self.clocks.subjects.key(slot) or ("", "")
            self._kinds[slot, 0] = kind == "principal" and name.startswith(_MACHINES)
            self._kinds[slot, 1] = kind == "address"

    def _note_since(self, turn: Turn, outcome: RequestOutcome) -> None:
        """A row of refusals begins with the first one after the earlier ones have faded."""
        xp = self._arrays.xp
        adverse = xp.asarray(outcome.refused | outcome.unauthenticated)
        first = xp.full(len(turn.slots), xp.inf)
        xp.minimum.at(first, turn.group, xp.where(adverse, turn.times, xp.inf))
        faded = self._sums.sums[turn.slots, 1:3, -1].sum(axis=1) * xp.exp(-turn.elapsed / SCALES[-1]) < _FADED
        begun = xp.where(xp.isfinite(first), first, turn.times[-1])
        self._since[turn.slots] = xp.where(faded, begun, self._since[turn.slots])


_FADED = 0.05  # of one refusal: half an hour later it no longer counts
