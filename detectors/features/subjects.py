"""What features of requests and of flows have in common: who is due, what `restore` needs, and strangers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from detectors.arrays import Array, Arrays
from detectors.features.damped import SCALES, Damped
from detectors.features.due import Due, News
from detectors.features.groups import Groups
from detectors.features.seen import Seen
from detectors.features.table import Table
from telemetry import EventBatch


class SubjectFeatures(ABC):
    """State for at most `capacity` subjects, each with sums at five time scales and `things` things that it touched."""

    def __init__(self, capacity: int, things: int, counted: int, arrays: Arrays, key: int) -> None:
        self._arrays = arrays
        self._key = key
        self.table = Table(capacity, arrays)
        self._sums = Damped(capacity, counted, SCALES, arrays)
        self._seen = Seen(things * capacity, arrays)
        self._since = arrays.xp.zeros(capacity)  # Unix seconds
        self._due = Due(capacity, arrays)
        self._latest: tuple[EventBatch, News] | None = None  # learnt last, and what came of it

    def matrix(self, hashes: Array) -> Array:
        """[hashes, NAMES] of each subject at its latest event, 32 bits; a stranger's row is all zeros."""
        slots = self.table.find(hashes)
        columns = self._columns(self._arrays.xp.take(self._sums.sums, slots, axis=0), slots)
        columns[slots < 0] = 0.0
        return columns

    def of(self, batch: EventBatch) -> tuple[Groups, Array]:
        """The subjects of a batch, whose rows all have one, and the matrix of them."""
        groups = self._groups(batch)
        return groups, self.matrix(groups.hashes)

    def news(self, batch: EventBatch) -> News:
        """Who is due to be judged after a batch: of the one learnt last as `Due` says, of any other all."""
        if self._latest and batch is self._latest[0]:
            return self._latest[1]
        groups, matrix = self.of(batch)
        return News(groups.hashes, groups.last, matrix)

    def state(self) -> dict[str, Array]:
        """All that is known, in main memory, for `restore`."""
        parts = {**self.table.state(self.table.held(), self._by_slot()), **self._seen.state()}
        return {name: self._arrays.host(part) for name, part in parts.items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Know what the one knew whose `state` it was; where fewer fit, the most interesting are kept."""
        self.table.restore(state, self._by_slot())
        self._seen.restore(state)
        self._latest = None

    def _by_slot(self) -> dict[str, Array]:
        return {"sums": self._sums.sums, "since": self._since, "judged": self._due.judged}

    @abstractmethod
    def _groups(self, batch: EventBatch) -> Groups:
        """Who the rows are about."""

    @abstractmethod
    def _columns(self, sums: Array, slots: Array) -> Array:
        """[slots, NAMES] of the subjects in these slots, and their sums."""
