"""What is known of each source of pairs: how much it sends, and how often it turns to a host that is new to it."""

from __future__ import annotations

from collections.abc import Mapping

from detectors.arrays import Array, Arrays
from detectors.features.damped import Damped, take_turn
from detectors.features.pairing import Ends, Rows, grouped, over_remote
from detectors.features.places import INSIDE, lie
from detectors.features.table import Table
from telemetry import EventBatch

SCALES = (600.0, 7200.0, 86400.0)  # seconds
COUNTED = ("new_remote", "remote", "remote_failed", "sent")


class Sources:
    """State for at most `capacity` addresses."""

    def __init__(self, capacity: int, arrays: Arrays) -> None:
        xp = arrays.xp
        self._arrays = arrays
        self.table = Table(capacity, arrays)
        self.first = xp.zeros(capacity)  # Unix seconds
        self.inside = xp.zeros(capacity, bool)
        self.sums = Damped(capacity, len(COUNTED), SCALES, arrays)

    def learn(self, batch: EventBatch, rows: Rows, ends: Ends, novel: Array, failed: Array) -> None:
        """Take in some rows of a batch: which of them turn to a new peer, and which were never answered."""
        xp = self._arrays.xp
        groups = grouped(ends.sources, self._arrays)
        turn = take_turn(self.table, groups, batch.time[rows], self._arrays)
        fresh = turn.slots[turn.strangers]
        self.first[fresh] = turn.times[turn.starts[turn.strangers]]
        texts = rows[self._arrays.host(groups.last[turn.strangers])]
        self.inside[fresh] = xp.asarray(lie(batch.address.values.take(batch.address.codes[texts])) == INSIDE)
        remote = xp.asarray(over_remote(batch, rows))
        sent = xp.maximum(xp.asarray(batch.bytes_in[rows], xp.float32), 0)
        columns = (novel & remote, remote, remote & failed, sent)
        self.sums.add(turn, [column[turn.order] for column in columns])

    def matrix(self, hashes: Array) -> tuple[Array, Array, Array]:
        """[hashes, scales, COUNTED] sums, seconds since each was first seen, and which lie inside; 0 for strangers."""
        slots = self.table.find(hashes)
        known = slots >= 0
        lived = self._arrays.xp.where(known, self.table.last[slots] - self.first[slots], 0.0)
        return self.sums.sums[slots] * known[:, None, None], lived, self.inside[slots] & known

    def state(self) -> dict[str, Array]:
        """What `restore` needs."""
        return self.table.state(self.table.held(), self._by_slot())

    def restore(self, state: Mapping[str, Array]) -> None:
        """Know what another one knew."""
        self.table.restore(state, self._by_slot())

    def _by_slot(self) -> dict[str, Array]:
        return {"first": self.first, "inside": self.inside, "sums": self.sums.sums}
