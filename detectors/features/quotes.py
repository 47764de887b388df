"""What a verdict quotes: the latest few texts that told of each subject, by hash, and the texts themselves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Array
from detectors.features.damped import Turn
from telemetry import Texts

EACH = 4  # texts of a subject; an earlier one gives way
_MOST = 65_536  # texts kept; one that is forgotten is not quoted
_OWN = ("quoted", "written")


class Quotes:
    """A ring of hashes for each slot. A text is kept once, however many subjects it tells of."""

    def __init__(self, capacity: int) -> None:
        self.quoted = np.zeros((capacity, EACH), np.uint64)
        self.written = np.zeros(capacity, np.int64)  # into each ring so far
        self._texts: OrderedDict[int, str] = OrderedDict()

    def keep(self, hashes: Sequence[int], texts: Sequence[str]) -> None:
        """Remember texts that may be quoted."""
        self._texts.update(zip(hashes, texts, strict=True))
        while len(self._texts) > _MOST:
            self._texts.popitem(last=False)

    def note(self, turn: Turn, hashes: Array, telling: Array) -> None:
        """The rows that tell of their subjects, and the hashes of their texts; both in the turn's order."""
        self.written[turn.slots[turn.strangers]] = 0
        self.quoted[turn.slots[turn.strangers]] = 0
        rows = np.flatnonzero(telling)
        group, counts = turn.group[rows], np.bincount(turn.group[rows], minlength=len(turn.slots))
        number = np.arange(len(rows)) - (np.cumsum(counts) - counts)[group]  # of each row among its subject's
        last = number >= counts[group] - EACH
        slots = turn.slots[group[last]]
        self.quoted[slots, (self.written[slots] + number[last]) % EACH] = hashes[rows[last]]
        self.written[turn.slots] += counts

    def of(self, slot: int) -> tuple[str, ...]:
        """A subject's, the earliest first, none twice; none of a stranger, whose slot is -1."""
        if slot < 0:
            return ()
        ring = np.roll(self.quoted[slot], -int(self.written[slot] % EACH)).tolist()
        return tuple(dict.fromkeys(self._texts[one] for one in ring if one in self._texts))

    def state(self, slots: NDArray[np.integer]) -> dict[str, Array]:
        """What `restore` needs of some subjects."""
        texts = Texts.of(list(self._texts.values()))
        kept = {"texts": np.array(list(self._texts), np.uint64), "letters": texts.letters, "offsets": texts.offsets}
        return {name: getattr(self, name)[slots] for name in _OWN} | kept

    def restore(self, state: Mapping[str, Array], count: int) -> None:
        """Take over the first `count` subjects of a state, in slots 0, 1, 2, …"""
        for name in _OWN:
            getattr(self, name)[:count] = state[name][:count]
        self._texts = OrderedDict(zip(state["texts"].tolist(), Texts(state["letters"], state["offsets"]), strict=True))
