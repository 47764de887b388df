"""The same event told twice by one source, known again among about the last million.

Only an event that names its session can be known again: a sensor's flow id, a connection's uid, a decision. Two such
rows that are equal in every column, to the microsecond, are one thing that happened, told twice: by two sensors under
one name, a file read again, a log shipped twice. Rows without a session may be equal and be two.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from telemetry.event import COLUMNS, EventBatch
from telemetry.hashing import PROCESS_KEY, Hashes, mix
from telemetry.words import Words

_FACTORS: Final = dict(
    zip(COLUMNS, (mix(np.arange(len(COLUMNS)) + np.uint64(PROCESS_KEY >> 1)) | np.uint64(1)), strict=True)
)  # odd and secret, one a column


class Remembered:
    """Fingerprints of events in `1 << bits` places, in halves: a newer one takes an older one's place in the first,
    which takes another's in the second, who is forgotten.
    """

    def __init__(self, bits: int) -> None:
        self._shift = np.uint64(65 - bits)
        self._known = np.zeros(1 << (bits - 1), np.uint64)
        self._older = np.zeros(1 << (bits - 1), np.uint64)
        self._row = np.zeros(1 << (bits - 1), np.int32)  # of the batch that is looked at, who came to a place first

    def again(self, batch: EventBatch) -> NDArray[np.bool_]:
        """Which rows were there before, in this batch or in an earlier one; all of them are remembered."""
        again = np.zeros(len(batch), np.bool_)
        rows = np.flatnonzero(batch.session.lengths())
        if len(rows):
            again[rows] = self._look(fingerprints(batch if len(rows) == len(batch) else batch.take(rows)))
        return again

    def _look(self, prints: Hashes) -> NDArray[np.bool_]:
        places = self._places(prints)
        order = np.arange(len(prints), dtype=np.int32)
        self._row[places[::-1]] = order[::-1]
        first = self._row[places]
        again: NDArray[np.bool_] = (prints[first] == prints) & (first != order)
        again |= (self._known[places] == prints) | (self._older[self._places(prints * _OTHER)] == prints)
        self._put_away(self._known[places])
        self._known[places] = prints
        self._put_away(prints[self._known[places] != prints])
        return again

    def _put_away(self, prints: Hashes) -> None:
        self._older[self._places(prints * _OTHER)] = prints

    def _places(self, prints: Hashes) -> NDArray[np.int64]:
        return (prints >> self._shift).astype(np.int64)


_OTHER: Final = np.uint64(0x9E3779B97F4A7C15)  # odd: another place for each


def fingerprints(batch: EventBatch) -> Hashes:
    """[rows] one number of all that a row says, under the process's key. Equal rows have equal ones, never 0."""
    sums = np.zeros(len(batch), np.uint64)
    for name in COLUMNS:
        sums += _part(getattr(batch, name), _FACTORS[name])
    return mix(sums) | np.uint64(1)


def _part(column: Any, factor: np.uint64) -> Hashes:
    if isinstance(column, Words):
        hashes = column.values.hashed() * factor
        return hashes if len(hashes) == 1 else hashes[column.codes]
    if column.dtype == np.float64:
        column = (column + 0.0).view(np.uint64)  # of the two zeros one
    return mix(column) * factor if column.itemsize == 8 else column.astype(np.uint64) * factor
