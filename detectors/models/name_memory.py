"""What a model said of names lately, so that each is judged once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU
from detectors.features import Table
from detectors.features.hashing import Hashes, hash_whole
from detectors.features.labels import registered
from detectors.features.quotes import Quotes
from detectors.features.table import known
from detectors.models.naming import NameModel
from telemetry import EventBatch, Words, hash_letters

_LOWER = np.arange(256, dtype=np.uint8)  # of each letter: a resolver may write a name in any case (RFC 4343)
_LOWER[ord("A") : ord("Z") + 1] += 32


class Judged(NamedTuple):
    """Of each row: which registered name it is about, and how likely an algorithm made that."""

    registered: Hashes  # [n] its hash, 0 where nothing was registered
    chance: NDArray[np.float64]  # [n]


class NameMemory:
    """A table of names by hash; the least asked for is forgotten first, judged again, and comes out the same.

    Where a name comes anew, Python runs for it; of one that is known, no text is made.
    """

    def __init__(self, model: NameModel, capacity: int, key: int, quotes: Quotes) -> None:
        self._model = model
        self._key = key
        self._quotes = quotes
        self._table = Table(capacity, CPU)
        self._registered = np.zeros(capacity, np.uint64)
        self._chance = np.zeros(capacity, np.float32)
        self.scored = 0  # names that the model was asked about so far

    def judge(self, batch: EventBatch) -> Judged:
        """Judge the name of each row, at most `capacity` of them, in the order of time."""
        names = batch.resource
        used = np.flatnonzero(np.bincount(names.codes, minlength=len(names.values)))
        starts, lengths = names.values.offsets[:-1][used], names.values.lengths[used]
        hashes = known(hash_letters(_LOWER[names.values.letters], starts, lengths, self._key))
        each, first, of = np.unique(hashes, return_index=True, return_inverse=True)  # in two cases it is one name
        slots, strangers = self._table.admit(each)
        if len(strangers):
            self._ask(slots[strangers], names, used[first[strangers]])
        self._table.last[slots] = batch.time[-1]
        self._table.events[slots] += 1
        rows = np.empty(len(names.values), np.int32)
        rows[used] = slots[of]
        places = rows[names.codes]
        return Judged(self._registered[places], self._chance[places].astype(np.float64))

    def _ask(self, slots: NDArray[np.integer], names: Words, codes: NDArray[np.integer]) -> None:
        texts = [names.values[code] for code in codes.tolist()]
        whole = [registered(text) for text in texts]
        hashes = np.where(np.array(whole, object) == "", np.uint64(0), known(hash_whole(whole, self._key)))
        chance = self._model.chance(texts)
        self.scored += len(texts)
        self._registered[slots], self._chance[slots] = hashes, chance
        told = np.flatnonzero(chance >= self._model.likely).tolist()
        self._quotes.keep(hashes[told].tolist(), [whole[place] for place in told])
