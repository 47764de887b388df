"""What was found out about texts, so that each is looked at once, whatever becomes of it in later batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU
from detectors.features.hashing import Hashes, mix
from detectors.features.table import Table, known
from telemetry import Texts, Words, hash_letters

LONGEST = 512  # bytes that are hashed at a time
_FEW, _LATEST = 32, 4096  # texts of a batch that are looked up one by one, among so many of late at most
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32
Look = Callable[[Sequence[str]], Sequence[NDArray[Any]]]


class Remembered:
    """A table of texts by hash, in which case does not count; the least seen is forgotten first.

    `look` says of some texts what is to be known, an array for each type in `types`. Where a text comes anew, Python
    runs for it; of one that is known, no text is made.
    """

    def __init__(self, capacity: int, key: int, types: Sequence[type[np.generic]], look: Look) -> None:
        self._key = key
        self._look = look
        self._table = Table(capacity, CPU)
        self._known = [np.zeros(capacity, kind) for kind in types]
        self._latest: dict[str, tuple[Any, ...]] = {}
        self.looked = 0  # texts that were looked at so far

    def of(self, words: Words, now: float) -> list[NDArray[Any]]:
        """[n] of each row, at most `capacity` of them, in the order of time; `now` is the last one's."""
        used = np.flatnonzero(np.bincount(words.codes, minlength=len(words.values)))
        told = self._of_few(words, used, now) if 0 < len(used) <= _FEW else self._of_many(words, used, now)
        found = np.empty(len(words.values), np.intp)
        found[used] = np.arange(len(used))
        rows = found[words.codes]
        return [column[rows] for column in told]

    def _of_few(self, words: Words, used: NDArray[np.integer], now: float) -> list[NDArray[Any]]:
        """[used] of each text."""
        texts = [words.values[code] for code in used.tolist()]
        if not all(text in self._latest for text in texts):
            if len(self._latest) > min(_LATEST, self._table.capacity):
                self._latest.clear()
            self._latest.update(zip(texts, zip(*self._of_many(words, used, now), strict=True), strict=True))
        told = zip(*(self._latest[text] for text in texts), strict=True)
        return [np.array(column, kind.dtype) for column, kind in zip(told, self._known, strict=True)]

    def _of_many(self, words: Words, used: NDArray[np.integer], now: float) -> list[NDArray[Any]]:
        hashes = known(self._hashed(words.values, used))
        each, first, place = np.unique(hashes, return_index=True, return_inverse=True)
        slots, strangers = self._table.admit(each)
        if len(strangers):
            self._ask(slots[strangers], [words.values[code] for code in used[first[strangers]].tolist()])
        self._table.last[slots] = now
        self._table.events[slots] += 1
        return [column[slots[place]] for column in self._known]

    def _ask(self, slots: NDArray[np.integer], texts: Sequence[str]) -> None:
        self.looked += len(texts)
        for column, told in zip(self._known, self._look(texts), strict=True):
            column[slots] = told

    def _hashed(self, texts: Texts, used: NDArray[np.integer]) -> Hashes:
        """Of all of a text: one that differs from a harmless one behind its first bytes is not that one."""
        letters, starts, lengths = _LOWER[texts.letters], texts.offsets[:-1][used], texts.lengths[used]
        hashes = hash_letters(letters, starts, lengths, self._key)
        longer = np.flatnonzero(lengths > LONGEST)
        at = 0
        while len(longer):
            at += LONGEST
            hashes[longer] = mix(hashes[longer]) ^ hash_letters(
                letters, starts[longer] + at, lengths[longer] - at, self._key
            )
            longer = longer[lengths[longer] > at + LONGEST]
        return hashes
