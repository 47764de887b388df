"""Who the rows of a batch are about, and the bounded table that gives each subject a slot in the state arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter

from telemetry import EventBatch, Words

Key = tuple[Literal["principal", "address"], str]
EVICTED = Counter("portcullis_detectors_subjects_evicted_total", "Subjects forgotten because the table was full")


@dataclass(frozen=True, slots=True)
class Groups:
    """The subjects of a batch, each once, and for every row the place of its subject among them."""

    keys: tuple[Key, ...]
    of_row: NDArray[np.int64]


def by_actor(batch: EventBatch) -> Groups:
    """Who acts; where nobody is known, the address. Rows must have one or the other (`identified`)."""
    actors = len(batch.actor.values)
    codes = np.where(blank(batch.actor), actors + batch.address.codes.astype(np.int64), batch.actor.codes)
    touched, dense = _touched(codes, actors + len(batch.address.values))
    return _merge([_key(batch, actors, int(code)) for code in touched], dense)


def by_address(batch: EventBatch) -> Groups:
    """The source address."""
    touched, dense = _touched(batch.address.codes, len(batch.address.values))
    return _merge([("address", batch.address.values[code]) for code in touched], dense)


def identified(batch: EventBatch) -> EventBatch:
    """Only the rows that say who acted or from where."""
    unknown = nameless(batch)
    return batch.take(~unknown) if unknown.any() else batch


def nameless(batch: EventBatch) -> NDArray[np.bool_]:
    """Which rows are about nobody: no actor, no address."""
    return blank(batch.actor) & blank(batch.address)


def blank(words: Words) -> NDArray[np.bool_]:
    """Which rows have no text."""
    rows, start = np.zeros(len(words.codes), np.bool_), 0
    while "" in words.values[start:]:
        start = words.values.index("", start) + 1
        rows |= words.codes == start - 1
    return rows


def _key(batch: EventBatch, actors: int, code: int) -> Key:
    if code < actors:
        return ("principal", batch.actor.values[code])
    return ("address", batch.address.values[code - actors])


def _touched(codes: NDArray[np.integer], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    present = np.bincount(codes, minlength=size) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[codes]


def _merge(keys: Sequence[Key], of_row: NDArray[np.int64]) -> Groups:
    """Join groups of equal key: a table from elsewhere may hold the same text twice."""
    table: dict[Key, int] = {}
    places = np.array([table.setdefault(key, len(table)) for key in keys], np.int64)
    return Groups(tuple(table), of_row if len(table) == len(keys) else places[of_row])


class Subjects:
    """Slots for at most `capacity` subjects; when it is full, those longest inactive are forgotten and counted."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._slots: dict[Key, int] = {}
        self._keys: list[Key | None] = [None] * capacity
        self._free = list(range(capacity - 1, -1, -1))
        self._touched = np.full(capacity, -1, np.int64)  # turn of last activity, -1 for a free slot
        self._turn = 0

    def __len__(self) -> int:
        return len(self._slots)

    def key(self, slot: int) -> Key | None:
        """Who has a slot."""
        return self._keys[slot]

    def find(self, keys: Sequence[Key]) -> NDArray[np.int64]:
        """Each key's slot, -1 for a stranger."""
        return np.fromiter((self._slots.get(key, -1) for key in keys), np.int64, len(keys))

    def admit(self, keys: Sequence[Key]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Each key's slot, and which slots are new and must be cleared. At most `capacity` keys, all different."""
        self._turn += 1
        slots = self.find(keys)
        known = slots[slots >= 0]
        self._touched[known] = self._turn
        strangers = np.flatnonzero(slots < 0)
        if len(strangers):
            self._make_room(len(strangers))
            for place in strangers.tolist():
                slots[place] = self._take(keys[place])
        return slots, slots[strangers]

    def _take(self, key: Key) -> int:
        slot = self._free.pop()
        self._slots[key], self._keys[slot], self._touched[slot] = slot, key, self._turn
        return slot

    def _make_room(self, needed: int) -> None:
        if needed <= len(self._free):
            return
        idle = np.flatnonzero((self._touched >= 0) & (self._touched < self._turn))
        count = min(len(idle), max(needed - len(self._free), self.capacity // 16))  # some more, to do it seldom
        for slot in idle[np.argsort(self._touched[idle], kind="stable")[:count]].tolist():
            self._forget(slot)
        EVICTED.inc(count)

    def _forget(self, slot: int) -> None:
        key = self._keys[slot]
        assert key is not None, "a touched slot has a key"  # noqa: S101
        del self._slots[key]
        self._keys[slot], self._touched[slot] = None, -1
        self._free.append(slot)
