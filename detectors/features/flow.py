"""What is known of each address from its flows: pace, ports, peers, failures, volume, at four time scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import CPU, Array, Arrays
from detectors.features.damped import Clocks, Damped, Turn
from detectors.features.hashing import hash_rows, mix
from detectors.features.outcomes import flow_failed
from detectors.features.seen import Seen
from detectors.features.subjects import Groups, Key, by_address
from telemetry import EventBatch

SCALES = (1.0, 10.0, 60.0, 600.0)  # seconds
_COUNTED = ("flows", "failed", "new_ports", "new_peers", "new_targets", "log_in", "log_out", "log_duration")
_COUNTS = 5  # of these are counts, the rest only means

NAMES: tuple[str, ...] = (
    *(f"{what}_{scale:g}s" for what in _COUNTED[:_COUNTS] for scale in SCALES),  # ln(1 + damped count)
    *(f"{what}_share_{scale:g}s" for what in _COUNTED[1:] for scale in SCALES),  # of the flows; log_…: the mean
    "bytes_ratio_60s",  # ln of bytes sent for a byte received, mean
    "distinct_ports",  # ln(1 + number), of a day
    "distinct_peers",
    "distinct_targets",  # pairs of peer and port
)


class FlowFeatures:
    """State for at most `capacity` source addresses."""

    def __init__(self, capacity: int = 16_384, arrays: Arrays = CPU) -> None:
        self._arrays = arrays
        self.clocks = Clocks(capacity, arrays)
        self._sums = Damped(capacity, len(_COUNTED), SCALES, arrays)
        self._seen = tuple(Seen(capacity, arrays) for _ in range(3))  # ports, peers, targets
        self._latest: tuple[EventBatch | None, Groups] = (None, Groups((), np.empty(0, np.int64)))  # learnt last
        self._since = arrays.xp.zeros(capacity)

    def learn(self, batch: EventBatch) -> None:
        """Take in flows; at most `capacity` rows."""
        if not len(batch):
            return
        xp = self._arrays.xp
        groups = by_address(batch)
        self._latest = (batch, groups)
        turn = self.clocks.turn(groups, batch.time)
        self._note_since(turn)
        novel = self._mark(batch, turn)
        sizes = (np.log1p(np.maximum(column, 0)) for column in (batch.bytes_in, batch.bytes_out, _seconds(batch)))
        failed = xp.asarray(flow_failed(batch))
        self._sums.add(turn, [xp.ones(len(batch)), failed, *novel, *map(xp.asarray, sizes)])

    def matrix(self, keys: Sequence[Key]) -> Array:
        """[keys, NAMES] at each one's latest event; a stranger's row is all zeros."""
        xp = self._arrays.xp
        slots = xp.asarray(self.clocks.subjects.find(keys))
        sums = self._sums.sums[slots]
        counts = xp.log1p(sums[:, :_COUNTS]).reshape(-1, _COUNTS * len(SCALES))
        means = sums[:, 1:] / xp.maximum(sums[:, :1], 1e-9)
        ratio = means[:, _COUNTS - 1, 2] - means[:, _COUNTS, 2]
        distinct = [xp.log1p(seen.distinct(slots)) for seen in self._seen]
        rest = xp.stack([ratio, *distinct], axis=1)
        columns = xp.concatenate([counts, means.reshape(-1, (len(_COUNTED) - 1) * len(SCALES)), rest], axis=1)
        columns[slots < 0] = 0.0
        return columns

    def since(self, keys: Sequence[Key]) -> Array:
        """When each one's present activity began."""
        return self._arrays.host(self._since[self._arrays.xp.asarray(self.clocks.subjects.find(keys))])

    def groups(self, batch: EventBatch) -> Groups:
        """The source addresses of a batch."""
        return self._latest[1] if batch is self._latest[0] else by_address(batch)

    def _mark(self, batch: EventBatch, turn: Turn) -> list[Array]:
        xp = self._arrays.xp
        ports, (peers, _) = mix(batch.port), hash_rows(batch.peer)
        slots = turn.slots[turn.group]
        hashes = (ports, peers, mix(peers ^ (ports << np.uint64(1))))
        for seen in self._seen:
            seen.clear(turn.fresh)
        pairs = zip(self._seen, hashes, strict=True)
        return [seen.mark(slots, xp.asarray(values), turn.times) for seen, values in pairs]

    def _note_since(self, turn: Turn) -> None:
        """Activity begins with the first flow after a silence."""
        xp = self._arrays.xp
        first = xp.full(len(turn.slots), xp.inf)
        xp.minimum.at(first, turn.group, turn.times)
        self._since[turn.slots] = xp.where(turn.elapsed > _SILENCE, first, self._since[turn.slots])


_SILENCE = 60.0  # seconds


def _seconds(batch: EventBatch) -> Array:
    return np.nan_to_num(batch.duration, nan=0.0, posinf=0.0, neginf=0.0)
