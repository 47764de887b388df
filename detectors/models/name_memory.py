"""What a model said of names lately, so that each is judged once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.features.hashing import Hashes, hash_whole
from detectors.features.labels import registered
from detectors.features.quotes import Quotes
from detectors.features.remembered import Remembered
from detectors.features.table import known
from detectors.models.naming import NameModel
from telemetry import EventBatch


class Judged(NamedTuple):
    """Of each row: which registered name it is about, and how likely an algorithm made that."""

    registered: Hashes  # [n] its hash, 0 where nothing was registered
    chance: NDArray[np.float64]  # [n]


class NameMemory:
    """Names, written in whatever case (RFC 4343). What is forgotten is judged again, and comes out the same."""

    def __init__(self, model: NameModel, capacity: int, key: int, quotes: Quotes) -> None:
        self._model = model
        self._key = key
        self._quotes = quotes
        self._names = Remembered(capacity, key, (np.uint64, np.float64), self._ask)

    @property
    def scored(self) -> int:
        """Names that the model was asked about so far."""
        return self._names.looked

    def judge(self, batch: EventBatch) -> Judged:
        """Judge the name of each row, at most `capacity` of them, in the order of time."""
        return Judged(*self._names.of(batch.resource, float(batch.time[-1])))

    def _ask(self, texts: Sequence[str]) -> tuple[Hashes, NDArray[np.float64]]:
        whole = [registered(text) for text in texts]
        hashes = np.where(np.array(whole, object) == "", np.uint64(0), known(hash_whole(whole, self._key)))
        chance = self._model.chance(texts)
        told = np.flatnonzero(chance >= self._model.likely).tolist()
        self._quotes.keep(hashes[told].tolist(), [whole[place] for place in told])
        return hashes, chance
