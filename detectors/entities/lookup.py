"""Which slots hold a key: an ordered copy of all keys, and a list of what has come since it was made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.features.hashing import Hashes

_PART = 32  # once a part of the slots has changed, the copy is made anew at the next question
Slots = NDArray[np.int64]


class Lookup:
    """Over keys that lie elsewhere, by slot; whoever changes some of them says so."""

    def __init__(self, keys: Hashes) -> None:
        self._keys = keys
        most = max(1, len(keys) // _PART)
        self._new_keys, self._new_slots = np.empty(most, np.uint64), np.empty(most, np.int64)
        self._new = 0  # how many of them; too many count on, and are not held
        self._slots, self._ordered = self._copy()

    def note(self, slots: NDArray[np.integer]) -> None:
        """These slots have new keys."""
        place = slice(self._new, self._new + len(slots))
        if place.stop <= len(self._new_slots):
            self._new_keys[place], self._new_slots[place] = self._keys[slots], slots
        self._new = place.stop

    def of(self, keys: Hashes) -> list[Slots]:
        """The slots that hold each of them, in order."""
        if self._new > len(self._new_slots):
            self._slots, self._ordered = self._copy()
            self._new = 0
        new = self._new_slots[: self._new][np.isin(self._new_keys[: self._new], keys)]
        cuts = zip(*(np.searchsorted(self._ordered, keys, side).tolist() for side in ("left", "right")), strict=True)
        return [self._held(key, self._slots[slice(*cut)], new) for key, cut in zip(keys, cuts, strict=True)]

    def _held(self, key: np.uint64, old: Slots, new: Slots) -> Slots:
        some = np.concatenate([old, new]) if len(new) else old
        return np.unique(some[self._keys[some] == key]) if len(some) else some

    def _copy(self) -> tuple[Slots, Hashes]:
        slots = np.argsort(self._keys, kind="stable")
        return slots, self._keys[slots]
