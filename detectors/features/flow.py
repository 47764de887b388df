"""What is known of each address from its flows: pace, ports, peers, failures, volume, at five time scales."""

from __future__ import annotations

import numpy as np

from detectors.arrays import CPU, Array, Arrays
from detectors.features.damped import SCALES, Turn, take_turn, window_names, windows
from detectors.features.due import News
from detectors.features.groups import Groups, by_address
from detectors.features.hashing import KEY, hash_whole, mix
from detectors.features.outcomes import flow_failed
from detectors.features.subjects import SubjectFeatures
from telemetry import EventBatch

_COUNTED = ("flows", "failed", "new_ports", "new_peers", "new_targets", "log_in", "log_out", "log_duration")

NAMES: tuple[str, ...] = (
    *window_names(_COUNTED, SCALES),
    "bytes_ratio_60s",  # ln of bytes sent for a byte received, mean
)


class FlowFeatures(SubjectFeatures):
    """State for at most `capacity` addresses. A target is a pair of peer and port."""

    def __init__(self, capacity: int = 16_384, arrays: Arrays = CPU, key: int = KEY) -> None:
        super().__init__(capacity, 3, len(_COUNTED), arrays, key)

    def learn(self, batch: EventBatch) -> None:
        """Take in flows, at most `capacity` rows in the order of time."""
        xp = self._arrays.xp
        groups = self._groups(batch)
        turn = take_turn(self.table, groups, batch.time, self._arrays)
        self._note_since(turn)
        failed = xp.asarray(flow_failed(batch))[turn.order]
        self.table.adverse[turn.slots] += xp.bincount(turn.group, failed, len(turn.slots))
        sizes = (
            xp.log1p(xp.maximum(xp.asarray(column, xp.float32), 0))[turn.order]
            for column in (batch.bytes_in, batch.bytes_out, _seconds(batch))
        )
        ones = xp.ones(len(batch), bool)
        ports, peers, targets = self._touch(batch, groups, turn)
        sums = self._sums.add(turn, [ones, failed, ports, peers, targets, *sizes])
        due = self._due.take(turn, failed | ports | targets)  # a new peer is a new target
        self._latest = (
            batch,
            News(groups.hashes[due], groups.last[due], self._columns(xp.take(sums, due, axis=0), turn.slots[due])),
        )

    def since(self, hashes: Array) -> Array:
        """When each one's present activity began."""
        return self._arrays.host(self._since[self.table.find(hashes)])

    def _groups(self, batch: EventBatch) -> Groups:
        return by_address(batch, self._arrays, self._key)

    def _columns(self, sums: Array, slots: Array) -> Array:
        xp = self._arrays.xp
        columns = xp.empty((len(sums), len(NAMES)), xp.float32)
        windows(columns, sums, self._arrays)
        sent, received = (NAMES.index(f"log_{way}_share_60s") for way in ("in", "out"))
        columns[:, -1] = columns[:, sent] - columns[:, received]
        return columns

    def _touch(self, batch: EventBatch, groups: Groups, turn: Turn) -> list[Array]:
        """Which rows, in the turn's order, touch a new port, a new peer, a new target."""
        xp = self._arrays.xp
        subjects = groups.hashes[turn.group]
        ports = xp.asarray(mix(batch.port))[turn.order]
        peers = xp.asarray(hash_whole(batch.peer.values, self._key))[xp.asarray(batch.peer.codes)[turn.order]]
        targets = (peers ^ (ports << xp.uint64(1))) * xp.uint64(_SPREAD)
        return [self._seen.mark(subjects, things, turn.times) for things in (ports, peers, targets)]

    def _note_since(self, turn: Turn) -> None:
        """Activity begins with the first flow after a silence."""
        first = turn.times[turn.starts]
        self._since[turn.slots] = self._arrays.xp.where(turn.elapsed > _SILENCE, first, self._since[turn.slots])


_SILENCE = 60.0  # seconds
_LONGEST = 1e9  # seconds; beyond it a duration is nonsense
_SPREAD = 0xC4CEB9FE1A85EC53


def _seconds(batch: EventBatch) -> Array:
    return np.where(np.abs(batch.duration) < _LONGEST, batch.duration, 0.0)
