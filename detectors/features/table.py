"""Slots for subjects, found by hash, a whole batch at once; bounded, the least interesting forgotten first."""

from __future__ import annotations

import math

from prometheus_client import Counter

from detectors.arrays import Array, Arrays

EVICTED = Counter("portcullis_detectors_subjects_evicted_total", "Subjects forgotten because the table was full")
_ROOM = 4  # places in the index for each slot: at most a quarter is taken, so that a probe is seldom longer than two
_FORGOTTEN = 16  # a full table forgets this part of its subjects at once, to do it seldom
_EARNED = 600.0  # seconds of remembrance that a subject earns each time its events double
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
        slots = xp.full(len(hashes), -1, xp.int32)
        places = hashes & self._mask
        keys = self._keys[places]
        hit = keys == hashes
        slots[hit] = self._slots[places[hit]]
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

    def state(self) -> dict[str, Array]:
        """Arrays from which `restore` makes the same table."""
        return {"hashes": self.hashes, "last": self.last, "events": self.events, "adverse": self.adverse}

    def restore(self, state: dict[str, Array]) -> None:
        """Become the table whose `state` it was; its capacity is the same."""
        for name, column in state.items():
            getattr(self, name)[:] = self._xp.asarray(column)
        self._rebuild()

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
        interest = self.last + _EARNED * xp.log2(1 + self.events) + _SUSPECT * xp.log2(1 + self.adverse)
        interest[self.hashes == 0] = xp.inf
        interest[present] = xp.inf
        held = len(self) - len(present)
        count = min(held, max(needed, self.capacity // _FORGOTTEN))
        self.hashes[xp.argpartition(interest, count - 1)[:count]] = 0
        EVICTED.inc(count)
        self._rebuild()

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
