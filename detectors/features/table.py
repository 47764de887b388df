"""Slots for subjects, found by hash, a whole batch at once; bounded, the least interesting forgotten first."""

from __future__ import annotations

import math
from collections.abc import Mapping

from prometheus_client import Counter

from detectors.arrays import Array, Arrays

EVICTED = Counter("portcullis_detectors_subjects_evicted_total", "Subjects forgotten because the table was full")
_ROOM = 4  # places in the index for each slot: at most a quarter is taken, so that a probe is seldom longer than two
_FORGOTTEN = 16  # a full table forgets this part of its subjects at once, to do it seldom
_EARNED = 600.0  # seconds of remembrance that a subject earns each time its events double
_KEPT = ("hashes", "last", "events", "adverse")
_SUSPECT = 3600.0  # seconds each time its adverse events double


class Table:
    """An index of open addressing (linear probing; Knuth, TAOCP 6.4) from 64-bit hashes to slots.

    A subject's interest is the time of its latest event and what it has earned: who did much, or much that went
    wrong, outlives a flood of strangers who come once.
    """

    def __init__(self, capacity: int, arrays: Arrays) -> None:
        xp = self._xp = arrays.xp
        self.capacity = capacity
        self.hashes = xp.zeros(capacity, xp.uint64)  # of each slot's subject, 0 for a free slot
        self.last = xp.full(capacity, -xp.inf)  # Unix seconds of its latest event
        self.events = xp.zeros(capacity, xp.float32)
        self.adverse = xp.zeros(capacity, xp.float32)
        places = 1 << math.ceil(math.log2(capacity * _ROOM))
        self._mask = xp.uint64(places - 1)
        self._keys = xp.zeros(places, xp.uint64)
        self._slots = xp.zeros(places, xp.int32)
        self._free = xp.arange(capacity - 1, -1, -1, dtype=xp.int32)
        self._spare = capacity

    def __len__(self) -> int:
        return self.capacity - self._spare

    def find(self, hashes: Array) -> Array:
        """[hashes] each one's slot, -1 for a stranger."""
        xp = self._xp
        places = hashes & self._mask
        keys = self._keys[places]
        hit = keys == hashes
        slots = xp.where(hit, self._slots[places], -1)
        if hit.all():
            return slots
        rows = xp.flatnonzero(~hit & (keys != 0))
        places = places[rows]
        while len(rows):
            places = (places + xp.uint64(1)) & self._mask
            keys = self._keys[places]
            hit = keys == hashes[rows]
            slots[rows[hit]] = self._slots[places[hit]]
            on = ~hit & (keys != 0)
            rows, places = rows[on], places[on]
        return slots

    def admit(self, hashes: Array) -> tuple[Array, Array]:
        """Each hash's slot, and the places of those that are new. At most `capacity` different hashes, none 0."""
        xp = self._xp
        slots = self.find(hashes)
        strangers = xp.flatnonzero(slots < 0)
        if not len(strangers):
            return slots, strangers
        new = hashes[strangers]
        if len(new) > self._spare:
            self._forget(len(new) - self._spare, slots[slots >= 0])
        self._spare -= len(new)
        fresh = self._free[self._spare : self._spare + len(new)].copy()
        self.hashes[fresh] = new
        self.last[fresh] = -xp.inf
        self.events[fresh] = self.adverse[fresh] = 0.0
        self._insert(new, fresh)
        slots[strangers] = fresh
        return slots, strangers

    def held(self) -> Array:
        """Slots that are taken, the most interesting subject's first."""
        slots = self._xp.flatnonzero(self.hashes)
        return slots[self._xp.argsort(-self._interest()[slots])]

    def state(self, slots: Array, columns: Mapping[str, Array]) -> dict[str, Array]:
        """What `restore` needs of some subjects: who they are, and their rows of `columns`, arrays by slot."""
        own = {name: getattr(self, name) for name in _KEPT}
        return {name: column[slots] for name, column in {**own, **columns}.items()}

    def restore(self, state: Mapping[str, Array], columns: Mapping[str, Array]) -> int:
        """Hold those of whom it was the `state`, in slots 0, 1, 2, … of the table and of `columns`; how many: the first
        ones, as many as fit.
        """
        count = min(self.capacity, len(state["hashes"]))
        self.hashes[:] = 0
        for name, column in {**{name: getattr(self, name) for name in _KEPT}, **columns}.items():
            column[:count] = self._xp.asarray(state[name][:count])
        self._rebuild()
        return count

    def _insert(self, hashes: Array, slots: Array) -> None:
        """Different hashes, none of them there."""
        xp = self._xp
        places = hashes & self._mask
        while len(hashes):
            free = self._keys[places] == 0
            self._keys[places[free]] = hashes[free]  # of several for one place, one stays
            won = self._keys[places] == hashes
            self._slots[places[won]] = slots[won]
            on = ~won
            hashes, slots, places = hashes[on], slots[on], (places[on] + xp.uint64(1)) & self._mask

    def _forget(self, needed: int, present: Array) -> None:
        """Make room for so many, sparing those who are present."""
        xp = self._xp
        interest = self._interest()
        interest[self.hashes == 0] = xp.inf
        interest[present] = xp.inf
        held = len(self) - len(present)
        count = min(held, max(needed, self.capacity // _FORGOTTEN))
        self.hashes[xp.argpartition(interest, count - 1)[:count]] = 0
        EVICTED.inc(count)
        self._rebuild()

    def _interest(self) -> Array:
        xp = self._xp
        return self.last + _EARNED * xp.log2(1 + self.events) + _SUSPECT * xp.log2(1 + self.adverse)

    def _rebuild(self) -> None:
        xp = self._xp
        free = xp.flatnonzero(self.hashes == 0)[::-1]
        self._spare = len(free)
        self._free[: self._spare] = free
        self._keys[:] = 0
        held = xp.flatnonzero(self.hashes != 0).astype(xp.int32)
        self._insert(self.hashes[held], held)


def known(hashes: Array) -> Array:
    """Hashes fit for a table: 0 means a free place."""
    return hashes | (hashes == 0)
