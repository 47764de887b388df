"""Pairs of a place and a principal, and how much joins them; bounded, vectorised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU, Array
from detectors.entities.claims import Claims
from detectors.entities.lookup import Lookup
from detectors.features.damped import Damped, Turn, take_turn
from detectors.features.groups import group
from detectors.features.hashing import Hashes
from detectors.features.table import Table

HOUR = 3600.0  # seconds; what is so old counts a third
_TOLD = 0.4  # the most that tales without proof are worth: by them alone nobody is named
_FADED = 0.05  # of one claim; what came before it no longer counts
Numbers = NDArray[np.float64]


class Joined(NamedTuple):
    """Some pairs as of a moment, [n] each."""

    slots: NDArray[np.int64]
    presence: Numbers  # 0 to 1: how sure it is that the principal is there
    counts: Numbers  # damped claims
    ages: Numbers  # seconds since the latest of them


NONE = Joined(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))


class Pairs:
    """At most `capacity` of them. One with many claims, or recent ones, outlives a flood of pairs that come once."""

    def __init__(self, capacity: int) -> None:
        self.table = Table(capacity, CPU)
        self._sums = Damped(capacity, 2, (HOUR,), CPU)  # claims with proof, and without
        self.places = np.zeros(capacity, np.uint64)
        self.principals = np.zeros(capacity, np.uint64)
        self.sessions = np.zeros(capacity, np.uint64)  # each one's latest
        self.since = np.zeros(capacity)  # Unix seconds of the first claim of the present row of them
        self._by_place, self._by_principal = Lookup(self.places), Lookup(self.principals)

    def learn(self, claims: Claims, times: Numbers) -> NDArray[np.int64]:
        """Take in at most `capacity` claims; which of them are the first of a pair."""
        groups = group(np.arange(len(claims)), claims.pairs, CPU)
        turn = take_turn(self.table, groups, times, CPU)
        first = turn.order[turn.starts]
        self._begin(turn)
        fresh, new = turn.slots[turn.strangers], first[turn.strangers]
        self.places[fresh], self.principals[fresh] = claims.places[new], claims.principals[new]
        self._by_place.note(fresh)
        self._by_principal.note(fresh)
        self.sessions[turn.slots] = claims.sessions[groups.last]
        proven = claims.proven[turn.order]
        self._sums.add(turn, [proven, ~proven])
        found: NDArray[np.int64] = new
        return found

    def at(self, places: Hashes, moment: float, leased: Numbers) -> list[Joined]:
        """The pairs of each place as of a moment (Unix seconds), the surest first: those that were there since the
        place was `leased` to its holder.
        """
        held = zip(self._by_place.of(places), leased, strict=True)
        return [self._joined(slots[self.table.last[slots] >= since], moment) for slots, since in held]

    def elsewhere(self, slot: int, moment: float) -> Joined:
        """Where else the pair's session is in use while it is here."""
        (there,) = self._by_principal.of(self.principals[[slot]])
        same = (self.sessions[there] == self.sessions[slot]) & (self.sessions[there] != 0)
        meanwhile = (self.table.last[there] > self.since[slot]) & (self.since[there] < self.table.last[slot])
        return self._joined(there[same & meanwhile & (self.places[there] != self.places[slot])], moment)

    def state(self) -> dict[str, Array]:
        """What `restore` needs, the most interesting pair first."""
        return self.table.state(self.table.held(), self._by_slot())

    def restore(self, state: Mapping[str, Array]) -> None:
        """Hold the pairs of a `state`, as many as fit."""
        self.table.restore(state, self._by_slot())
        self._by_place, self._by_principal = Lookup(self.places), Lookup(self.principals)

    def _by_slot(self) -> dict[str, Array]:
        names = ("places", "principals", "sessions", "since")
        return {"sums": self._sums.sums, **{name: getattr(self, name) for name in names}}

    def _begin(self, turn: Turn) -> None:
        """A row of claims begins anew where the earlier ones have faded."""
        left = self._sums.sums[turn.slots, 0].sum(axis=1) * np.exp(-turn.elapsed / HOUR)
        left[turn.strangers] = 0.0
        self.since[turn.slots] = np.where(left < _FADED, turn.times[turn.starts], self.since[turn.slots])

    def _joined(self, slots: NDArray[np.int64], moment: float) -> Joined:
        if not len(slots):
            return NONE
        """What came after the moment does not count, but for the count of a pair that was there already."""
        slots = slots[(self.table.hashes[slots] != 0) & (self.since[slots] <= moment)]
        ages = np.maximum(moment - self.table.last[slots], 0.0)
        proven, told = self._sums.sums[slots, 0].astype(np.float64).T
        fading = np.exp(-ages / HOUR)
        sure = proven / (1 + proven) * fading
        tales = (
            _TOLD * told / (1 + told) * fading * (1 - sure.max(initial=0.0))
        )  # they count as far as proof is wanting
        presence = np.maximum(sure, tales)
        order = np.argsort(-presence, kind="stable")
        return Joined(slots[order], presence[order], ((proven + told) * fading)[order], ages[order])
