"""What the model said of names lately, so that each is judged once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.features.hashing import Hashes, hash_texts
from detectors.features.labels import registered
from detectors.models.naming import NameModel
from telemetry import Words

_PLACES = 1 << 16  # names remembered; one that needs another's place takes it


@dataclass(frozen=True, slots=True)
class Judged:
    """Of each row: which registered name it is about, and how likely an algorithm made that."""

    registered: Hashes  # [n] its hash, 0 where nothing was registered
    chance: NDArray[np.float64]  # [n]

    def take(self, rows: NDArray[np.bool_]) -> Judged:
        """Some of the rows."""
        return Judged(self.registered[rows], self.chance[rows])


class NameMemory:
    """A table by hash, one place a name. What is forgotten is judged again, and comes out the same."""

    def __init__(self, model: NameModel, places: int = _PLACES) -> None:
        self._model = model
        self._mask = np.uint64(places - 1)
        self._names = np.zeros(places, np.uint64)
        self._registered = np.zeros(places, np.uint64)
        self._chance = np.zeros(places)
        self.scored = 0  # names that the model was asked about so far

    def judge(self, names: Words) -> Judged:
        """Judge each row's name; the model is asked about those that are not remembered."""
        used, places = np.unique(names.codes, return_inverse=True)
        texts = [names.values[code] for code in used.tolist()]
        hashes = hash_texts(texts)[0] | np.uint64(1)  # 0 is an empty place
        slots = (hashes & self._mask ^ (hashes >> np.uint64(40)) & self._mask).astype(np.int64)
        known = self._names[slots] == hashes
        found, chance = self._registered[slots], self._chance[slots]
        missing = np.flatnonzero(~known)
        if len(missing):
            found[missing], chance[missing] = self._ask([texts[place] for place in missing.tolist()])
            kept = slots[missing]
            self._names[kept], self._registered[kept], self._chance[kept] = (
                hashes[missing],
                found[missing],
                chance[missing],
            )
        return Judged(found[places], chance[places])

    def _ask(self, texts: list[str]) -> tuple[Hashes, NDArray[np.float64]]:
        whole = [registered(text) for text in texts]
        hashes = hash_texts(whole)[0] | np.uint64(1)
        hashes[np.fromiter((not name for name in whole), np.bool_, len(whole))] = 0
        self.scored += len(texts)
        return hashes, self._model.chance(texts)
