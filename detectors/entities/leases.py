"""To whom each address is leased, and since when: who used it before its present holder no longer stands behind it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU, Array
from detectors.entities.claims import place_hashes
from detectors.features import blank
from detectors.features.damped import take_turn
from detectors.features.groups import group
from detectors.features.hashing import Hashes, hash_rows
from detectors.features.table import Table
from telemetry import EventBatch, Kind

Numbers = NDArray[np.float64]


class Leases:
    """At most `capacity` addresses. A holder is what a client calls itself to DHCP: nobody is named by it."""

    def __init__(self, capacity: int) -> None:
        self.table = Table(capacity, CPU)
        self.holders = np.zeros(capacity, np.uint64)
        self.since = np.zeros(capacity)  # Unix seconds

    def learn(self, batch: EventBatch, key: int) -> tuple[Hashes, NDArray[np.int64]]:
        """Take in the leases of a batch in the order of time, at most `capacity`. Hashes of holders, and their rows."""
        rows = np.flatnonzero((batch.kind == Kind.LEASE) & ~blank(batch.address) & ~blank(batch.peer))
        if not len(rows):
            return np.empty(0, np.uint64), rows
        holders = hash_rows(batch.peer, rows, key)
        groups = group(np.arange(len(rows)), place_hashes(batch.address, rows, key, host=False), CPU)
        turn = take_turn(self.table, groups, batch.time[rows], CPU)
        self.holders[turn.slots[turn.strangers]] = 0
        told = holders[turn.order]
        changed = np.flatnonzero(told != turn.earlier(told, self.holders[turn.slots]))
        self.since[turn.slots[turn.group[changed]]] = turn.times[changed]  # of several for one address the last stays
        self.holders[turn.slots] = told[turn.ends]
        return holders, rows

    def at(self, places: Hashes, moment: float) -> tuple[Numbers, Hashes]:
        """[places] since when each one has the holder of that moment (Unix seconds), and the holder; 0 if not known."""
        slots = self.table.find(places)
        known = (slots >= 0) & (self.since[slots] <= moment)
        return np.where(known, self.since[slots], 0.0), np.where(known, self.holders[slots], np.uint64(0))

    def state(self) -> dict[str, Array]:
        """What `restore` needs."""
        return self.table.state(self.table.held(), self._by_slot())

    def restore(self, state: Mapping[str, Array]) -> None:
        """Know what another one knew; where fewer fit, the most interesting."""
        self.table.restore(state, self._by_slot())

    def _by_slot(self) -> dict[str, Array]:
        return {"holders": self.holders, "since": self.since}
