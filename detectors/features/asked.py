"""What is known of each address from the names it asks for: new ones, strange ones, ones that do not exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU, Array
from detectors.features.damped import Damped, Turn, take_turn
from detectors.features.groups import Groups, by_address
from detectors.features.hashing import KEY, Hashes
from detectors.features.quotes import Quotes
from detectors.features.seen import Seen
from detectors.features.table import Table
from telemetry import EventBatch, Words

SCALE = 300.0  # seconds
_FADED = 0.05  # of one name; what came before it no longer counts
_MISSING = ("NXDOMAIN", "3", "9003")  # Zeek and Suricata; the number (RFC 1035); Windows' own
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]


class Rows(NamedTuple):
    """What is known of the name of each row of a batch, [n] each."""

    registered: Hashes  # of what somebody registered, 0 where nobody did
    strange: Mask  # an algorithm made it
    likely: Mask  # it may have


class AskedFeatures:
    """State for at most `capacity` addresses. An address is told of a name once within two days, and once of its
    absence, so that a client that asks again and again says nothing new.
    """

    def __init__(self, capacity: int = 16_384, key: int = KEY) -> None:
        self._key = key
        self.table = Table(capacity, CPU)
        self.quotes = Quotes(capacity)
        self._sums = Damped(capacity, 3, (SCALE,), CPU)  # names that are new to the address, strange, lost
        self._seen = Seen(2 * capacity, CPU)
        self._since = np.zeros(capacity)  # Unix seconds of the first telling name of the present row of them

    def learn(self, batch: EventBatch, rows: Rows) -> Groups:
        """Take in questions and answers, at most `capacity` in the order of time."""
        groups = by_address(batch, CPU, self._key)
        turn = take_turn(self.table, groups, batch.time, CPU)
        registered, subjects = rows.registered[turn.order], groups.hashes[turn.group]
        new = self._seen.mark(subjects, registered, turn.times) & (registered != 0)
        absent = np.flatnonzero(missing(batch.outcome)[turn.order] & rows.likely[turn.order])
        lost = np.zeros(len(batch), np.bool_)
        if len(absent):
            lost[absent] = self._seen.mark(subjects[absent], ~registered[absent], turn.times[absent])
        strange = new & rows.strange[turn.order]
        self._note(turn, registered, strange | lost)
        self._sums.add(turn, [new, strange, lost])
        return groups

    def counts(self, hashes: Hashes) -> Numbers:
        """[hashes, 3] of each address at its latest event: damped counts of new, strange and lost names."""
        slots = self.table.find(hashes)
        counts: Numbers = np.where(slots[:, None] < 0, 0.0, self._sums.sums[slots, 0].astype(float))
        return counts

    def since(self, hashes: Hashes) -> Numbers:
        """When each one's present row of telling names began."""
        since: Numbers = self._since[self.table.find(hashes)]
        return since

    def state(self) -> dict[str, Array]:
        """All that is known, for `restore`."""
        slots = self.table.held()
        return {**self.table.state(slots, self._by_slot()), **self.quotes.state(slots), **self._seen.state()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Know what the one knew whose `state` it was; where fewer fit, the most interesting are kept."""
        count = self.table.restore(state, self._by_slot())
        self.quotes.restore(state, count)
        self._seen.restore(state)

    def _by_slot(self) -> dict[str, Array]:
        return {"sums": self._sums.sums, "since": self._since}

    def _note(self, turn: Turn, registered: Hashes, telling: Mask) -> None:
        """A row of telling names begins with the first one after the earlier ones have faded."""
        self.quotes.note(turn, registered, telling)
        self.table.adverse[turn.slots] += np.bincount(turn.group, telling, len(turn.slots))
        first = turn.times[turn.ends]
        rows = np.flatnonzero(telling)
        where, place = np.unique(turn.group[rows], return_index=True)
        first[where] = turn.times[rows[place]]
        before = self._sums.sums[turn.slots, 0, 1:].sum(1) * np.exp(-turn.elapsed / SCALE)
        self._since[turn.slots] = np.where(before < _FADED, first, self._since[turn.slots])


def missing(outcome: Words) -> Mask:
    """Which rows say that there is no such name."""
    table = np.fromiter((text.upper() in _MISSING for text in outcome.values), np.bool_, len(outcome.values))
    absent: Mask = table[outcome.codes]
    return absent
