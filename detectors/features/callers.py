"""How many sources ask each peer, and where it lies. What a crowd asks is nobody's secret meeting place."""

from __future__ import annotations

from collections.abc import Mapping

from detectors.arrays import Array, Arrays
from detectors.features.damped import take_turn
from detectors.features.pairing import Ends, Rows, grouped
from detectors.features.places import NOWHERE, lie
from detectors.features.seen import Seen
from detectors.features.table import Table
from telemetry import EventBatch

MOST = 50  # sources that ever asked a peer, from which on it is crowded


class Callers:
    """State for at most `capacity` peers. A source that stays away for two days is counted again."""

    def __init__(self, capacity: int, arrays: Arrays) -> None:
        xp = arrays.xp
        self._arrays = arrays
        self.table = Table(capacity, arrays)
        self.asked = xp.zeros(capacity, xp.float32)  # by so many, MOST + 1 at most; infinite for no peer
        self.where = xp.zeros(capacity, xp.int8)
        self._seen = Seen(capacity // 4, arrays)

    def learn(self, batch: EventBatch, rows: Rows, ends: Ends) -> tuple[Array, Array]:
        """Take in some rows of a batch. By how many sources the peer had been asked with each row, and whether its
        source was a new one; both [rows].
        """
        xp = self._arrays.xp
        groups = grouped(ends.peers, self._arrays)
        turn = take_turn(self.table, groups, batch.time[rows], self._arrays)
        self._note(batch, rows[self._arrays.host(groups.last[turn.strangers])], turn.slots[turn.strangers])
        novel = self._seen.mark(ends.peers, ends.sources, xp.asarray(batch.time[rows]))
        counted = xp.cumsum(novel[turn.order].astype(xp.float32))
        before = counted[turn.starts] - novel[turn.order[turn.starts]]
        numbers = counted - (before - self.asked[turn.slots])[turn.group]
        known, counts = self.asked[turn.slots], xp.minimum(numbers[turn.ends], MOST + 1)  # more are not all counted
        self.asked[turn.slots] = xp.where(known < xp.inf, counts, known)
        asked = xp.empty_like(numbers)
        asked[turn.order] = numbers
        return asked, novel

    def crowded(self, hashes: Array) -> Array:
        """[hashes] which peers so many ask that who asks says nothing."""
        slots = self.table.find(hashes)
        return (slots >= 0) & (self.asked[slots] > MOST)

    def matrix(self, hashes: Array) -> tuple[Array, Array]:
        """By how many each peer was asked, and where it lies; 0 for a stranger."""
        slots = self.table.find(hashes)
        known = slots >= 0
        return self.asked[slots] * known, self.where[slots] * known

    def state(self) -> dict[str, Array]:
        """What `restore` needs."""
        return {**self.table.state(self.table.held(), self._by_slot()), **self._seen.state()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Know what another one knew."""
        self.table.restore(state, self._by_slot())
        self._seen.restore(state)

    def _by_slot(self) -> dict[str, Array]:
        return {"asked": self.asked, "where": self.where}

    def _note(self, batch: EventBatch, rows: Rows, slots: Array) -> None:
        """Where new peers lie."""
        where = self._arrays.xp.asarray(lie(batch.peer.values.take(batch.peer.codes[rows])))
        self.where[slots] = where
        self.asked[slots] = self._arrays.xp.where(where == NOWHERE, self._arrays.xp.inf, 0.0)
