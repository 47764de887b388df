"""What is known of each pair of a source and a peer's port from its flows: rhythm, sameness, volume, age, company."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from detectors.arrays import CPU, Array, Arrays
from detectors.features.cadence import Cadence
from detectors.features.callers import MOST, Callers
from detectors.features.changes import Changes
from detectors.features.damped import Damped, Turn, take_turn
from detectors.features.due import Due, News
from detectors.features.groups import Groups
from detectors.features.hashing import KEY
from detectors.features.outcomes import flow_failed
from detectors.features.pair_columns import COUNTED, RHYTHM, SCALES, Known, columns, may_tell, telling
from detectors.features.pairing import Ends, Mask, Rows, ends, grouped, over_remote, peer_hashes
from detectors.features.sources import Sources
from detectors.features.table import Table
from telemetry import EventBatch

LARGE = 8_000_000  # bytes sent in one flow that are looked at, however many ask the peer
URGENT = 1_000_000  # bytes sent in one flow after which a pair is judged at once
BUCKET = 600.0  # seconds; a pair is there in a bucket or not
_LONGEST = 86_400.0  # seconds that a flow lasts, at most


class PairFeatures:
    """State for at most `capacity` pairs, sources and peers.

    Flows to a crowded peer (`callers.MOST`) leave no trace, unless they go to a remote port or are `LARGE`: what
    everybody asks all the time would take the place of what few do.
    """

    def __init__(self, capacity: int = 16_384, arrays: Arrays = CPU, key: int = KEY) -> None:
        xp = arrays.xp
        self._arrays = arrays
        self._key = key
        self.table = Table(capacity, arrays)
        self._callers, self._sources = Callers(capacity, arrays), Sources(capacity, arrays)
        self._sums = Damped(capacity, len(COUNTED), SCALES, arrays)
        self._cadence = Cadence(capacity, arrays, RHYTHM)
        self._changes = Changes(capacity, 4, RHYTHM, arrays)
        self._ends = xp.zeros((capacity, 2), xp.uint64)  # source and peer
        self._port = xp.zeros(capacity, xp.int32)
        self._first = xp.zeros(capacity)  # Unix seconds
        self._bucket = xp.zeros(capacity, xp.int64)  # the latest in which it was there
        self._there = xp.zeros(capacity, xp.float32)  # in so many
        self._due = Due(capacity, arrays)
        self._latest: tuple[EventBatch, Array, Array] | None = (
            None  # learnt last; who of it is due, and their last rows
        )

    def learn(self, batch: EventBatch) -> None:
        """Take in flows, at most `capacity` rows in the order of time."""
        self._latest = (batch, *self._arrays.xp.empty((2, 0), self._arrays.xp.uint64))
        rows = self._looked_at(batch)
        if not len(rows):
            return
        found = ends(batch, rows, self._arrays, self._key)
        asked, novel = self._callers.learn(batch, rows, found)
        ordinary = asked <= MOST
        novel &= ordinary | self._arrays.xp.asarray(over_remote(batch, rows))
        stay = self._arrays.host(ordinary | self._arrays.xp.asarray(_exempt(batch, rows)) & (asked < np.inf))
        if not stay.all():
            kept = self._arrays.xp.asarray(np.flatnonzero(stay))
            rows, found, novel = rows[stay], found.take(kept), novel[kept]
        if len(rows):
            self._take_in(batch, rows, found, novel)

    def matrix(self, hashes: Array) -> Array:
        """[hashes, NAMES] of each pair at its latest flow, 32 bits; a stranger's row is all zeros."""
        slots = self.table.find(hashes)
        table = self._columns(slots)
        table[slots < 0] = 0.0
        return table

    def of(self, batch: EventBatch) -> tuple[Groups, Array]:
        """All pairs of a batch, and the matrix of them."""
        groups = grouped(ends(batch, np.arange(len(batch)), self._arrays, self._key).pairs, self._arrays)
        return groups, self.matrix(groups.hashes)

    def news(self, batch: EventBatch) -> News:
        """The pairs of a batch whose flows are looked at, and of which enough is known to judge them: of the one learnt
        last those who are due, of any other all.
        """
        hashes, last = self._latest[1:] if self._latest and batch is self._latest[0] else self._asked_about(batch)
        some = self._promising(hashes)
        matrix = self.matrix(hashes[some])
        enough = telling(matrix)
        some = some[enough]
        return News(hashes[some], last[some], matrix[enough])

    def since(self, hashes: Array) -> Array:
        """When each pair was first seen."""
        return self._arrays.host(self._first[self.table.find(hashes)])

    def state(self) -> dict[str, Array]:
        """All that is known, in main memory, for `restore`."""
        parts = dict(self.table.state(self.table.held(), self._by_slot()))
        for prefix, other in (("source_", self._sources), ("peer_", self._callers)):
            parts |= {prefix + name: part for name, part in other.state().items()}
        return {name: self._arrays.host(part) for name, part in parts.items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Know what the one knew whose `state` it was; where fewer fit, the most interesting are kept."""
        self.table.restore(state, self._by_slot())
        for prefix, other in (("source_", self._sources), ("peer_", self._callers)):
            other.restore({name.removeprefix(prefix): part for name, part in state.items() if name.startswith(prefix)})
        self._latest = None

    def _looked_at(self, batch: EventBatch) -> Rows:
        """Rows that may leave a trace, by what is known of their peers."""
        crowded = self._callers.crowded(self._arrays.xp.asarray(peer_hashes(batch, self._key)))
        ordinary = ~self._arrays.host(crowded)[batch.peer.codes]
        every = np.arange(len(batch))
        return every if ordinary.all() else np.flatnonzero(ordinary | _exempt(batch, every))

    def _asked_about(self, batch: EventBatch) -> tuple[Array, Array]:
        """The pairs whose flows are looked at, and each one's last row."""
        rows = self._looked_at(batch)
        groups = grouped(ends(batch, rows, self._arrays, self._key).pairs, self._arrays)
        return groups.hashes, self._arrays.xp.asarray(rows)[groups.last]

    def _take_in(self, batch: EventBatch, rows: Rows, found: Ends, novel: Array) -> None:
        xp = self._arrays.xp
        failed = xp.asarray(flow_failed(batch)[rows])
        self._sources.learn(batch, rows, found, novel, failed)
        groups = grouped(found.pairs, self._arrays)
        turn = take_turn(self.table, groups, batch.time[rows], self._arrays)
        self._note(batch, rows, found, turn)
        sent, received, lasted = (
            xp.clip(xp.asarray(column[rows], xp.float32), 0, most)[turn.order]
            for column, most in ((batch.bytes_in, 1e15), (batch.bytes_out, 1e15), (_seconds(batch), _LONGEST))
        )
        ones = xp.ones(len(rows), bool)
        self._sums.add(turn, [ones, failed[turn.order], sent, received, lasted])
        self._changes.add(turn, [self._cadence.add(turn), sent, received, lasted])
        urgent = xp.asarray(over_remote(batch, rows) | (batch.bytes_in[rows] >= URGENT))
        due = self._due.take(turn, urgent[turn.order])
        self._latest = batch, groups.hashes[due], xp.asarray(rows)[groups.last[due]]

    def _note(self, batch: EventBatch, rows: Rows, found: Ends, turn: Turn) -> None:
        """Who a new pair is, and in which stretches of time each one was there."""
        xp = self._arrays.xp
        fresh = turn.slots[turn.strangers]
        rows_of = turn.order[turn.starts[turn.strangers]]
        self._ends[fresh, 0], self._ends[fresh, 1] = found.sources[rows_of], found.peers[rows_of]
        self._port[fresh] = xp.asarray(batch.port[rows])[rows_of]
        self._first[fresh] = turn.times[turn.starts[turn.strangers]]
        self._bucket[fresh], self._there[fresh] = -1, 0.0
        buckets = (turn.times / BUCKET).astype(xp.int64)
        came = xp.bincount(turn.group, buckets > turn.earlier(buckets, self._bucket[turn.slots]), len(turn.slots))
        self._bucket[turn.slots] = xp.maximum(self._bucket[turn.slots], buckets[turn.ends])
        self._there[turn.slots] += came
        self.table.adverse[turn.slots] += came  # who comes back again and again is not to be forgotten for a scan

    def _promising(self, hashes: Array) -> Array:
        """Places of those that may be worth a row."""
        slots = self.table.find(hashes)
        sent = self._sums.sums[slots, 0, COUNTED.index("sent")]
        may = may_tell(self.table.events[slots], sent, self._port[slots], self._arrays)
        return self._arrays.xp.flatnonzero(may & (slots >= 0))

    def _by_slot(self) -> dict[str, Array]:
        own = {
            "ends": self._ends,
            "port": self._port,
            "first": self._first,
            "judged": self._due.judged,
            "bucket": self._bucket,
        }
        sums = {"there": self._there, "sums": self._sums.sums, "judged": self._due.judged}
        return {**own, **sums, **self._cadence.by_slot(), **self._changes.by_slot()}

    def _columns(self, slots: Array) -> Array:
        lived = self.table.last[slots] - self._first[slots]
        passed = self._bucket[slots] - (self._first[slots] / BUCKET).astype(self._arrays.xp.int64) + 1
        known = Known(
            sums=self._sums.sums[slots],
            rhythm=self._cadence.matrix(slots),
            changes=self._changes.matrix(slots),
            contacts=self.table.events[slots],
            lived=lived,
            presence=self._there[slots] / passed,
            port=self._port[slots],
            peer=self._callers.matrix(self._ends[slots, 1]),
            source=self._sources.matrix(self._ends[slots, 0]),
        )
        return columns(known, self._arrays)


def _exempt(batch: EventBatch, rows: Rows) -> Mask:
    """Which rows are looked at however many ask the peer."""
    return over_remote(batch, rows) | (batch.bytes_in[rows] >= LARGE)


def _seconds(batch: EventBatch) -> np.typing.NDArray[np.float64]:
    return np.nan_to_num(batch.duration)
