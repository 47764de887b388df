"""Activity is who the good callers of a while are, and where they were seen; blast radius is measured on it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from prometheus_client import Counter

from defense_lines.guard.places import Places, canonical
from policy import Target

WINDOW = 3600.0  # seconds
WEEK = 8 * 86_400.0  # seconds: who comes on Mondays is known on the next one, through a holiday
LOOKED = 2_000  # addresses of one range that are looked at one by one: some milliseconds
MOST_EACH = 256  # sightings of one principal
_FRESH = 120  # parts of a window, within one of which a second sighting changes nothing: keeps the usual call short
_FORGOTTEN = Counter("portcullis_defense_lines_activity_forgotten_total", "Good sightings forgotten for lack of room")

Sighting = tuple[str, str, str, str]  # principal, actor, address, session
Snapshot = tuple[list[Sighting], list[float]]
_Index = dict[str, dict[str, int]]  # where -> who -> sightings
_NOBODY: dict[str, int] = {}


class Activity:
    """Sightings of allowed requests within `window` seconds, bounded: beyond `limit` the oldest is forgotten and
    counted. Nobody makes others forgotten by coming from many places: who has `MOST_EACH`, or more than the others
    have on average where there is no more room, makes room for themselves.

    `now` is Unix seconds. Not thread-safe: the gateway's loop owns it.
    """

    def __init__(self, limit: int = 200_000, window: float = WINDOW) -> None:
        self._limit = limit
        self._window = window
        self._refresh = window / _FRESH
        self._seen: dict[Sighting, float] = {}  # in order of refresh, the oldest first
        self._principals: dict[str, list[Sighting]] = {}  # the oldest first
        self._sessions: _Index = {}  # session -> principals and actors
        self._by_actor: _Index = {}  # actor -> principals
        self._by_address: _Index = {}  # address -> principals
        self._sessions_by: dict[str, _Index] = {"principal": {}, "actor": {}, "address": {}}
        self._places = Places()
        self.forgotten = 0  # sightings dropped before their time

    def __len__(self) -> int:
        return len(self._seen)

    def saw(self, principal: str, actor: str, address: str, session: str, now: float) -> None:
        """An allowed request: for whom, by whom, from where, in which session ("" if unknown)."""
        sighting = (principal, actor, address, session)
        last = self._seen.get(sighting)
        if last is not None and now - last < self._refresh:
            return
        if last is None:
            self._admit(sighting, now)
        else:
            del self._seen[sighting]
        self._seen[sighting] = now

    def snapshot(self) -> Snapshot:
        """All sightings, the oldest first, and the time of each: two lists, made in a few milliseconds."""
        return list(self._seen), list(self._seen.values())

    def restore(self, seen: Snapshot, now: float) -> None:
        """Take a snapshot back, as far as it is young enough."""
        for sighting, time in zip(*seen, strict=True):
            if now - self._window < time <= now:
                self.saw(*sighting, time)

    def principals(self, now: float) -> int:
        """How many good principals there are."""
        self._expire(now)
        return len(self._principals)

    def addresses(self, now: float) -> int:
        """How many good addresses there are."""
        self._expire(now)
        return len(self._by_address)

    def sessions(self, now: float) -> int:
        """How many good sessions there are."""
        self._expire(now)
        return len(self._sessions)

    def knows(self, principal: str) -> bool:
        """Whether a principal is one of the good ones."""
        return principal in self._principals

    def owners(self, session: str, now: float) -> frozenset[str]:
        """Principals and actors seen in a session."""
        self._expire(now)
        return frozenset(self._sessions.get(session, ()))

    def hit(self, target: Target, now: float, enough: float = float("inf")) -> frozenset[str]:
        """Good principals that a block of this target would hit; in a range it looks for little more than `enough`, at
        no more than `LOOKED` addresses.
        """
        self._expire(now)
        if target.kind == "range":
            return self._hit_within(target.value, enough)
        if target.kind == "session":
            return frozenset(name for name in self._sessions.get(target.value, ()) if name in self._principals)
        if target.kind == "address":
            return frozenset(self._by_address.get(target.value, ()))
        own = {target.value} if target.value in self._principals else set()
        return frozenset(own | self._by_actor.get(target.value, _NOBODY).keys())

    def count(self, target: Target, now: float, enough: float = float("inf")) -> int:
        """How many `hit` would find, without naming each of a crowd."""
        self._expire(now)
        if target.kind == "address":
            return len(self._by_address.get(target.value, _NOBODY))
        if target.kind in ("principal", "actor"):
            those = self._by_actor.get(target.value, _NOBODY)
            return len(those) + (target.value in self._principals and target.value not in those)
        return len(self.hit(target, now, enough))

    def sessions_hit(self, target: Target, now: float, enough: float = float("inf")) -> int:
        """How many good sessions a block of this target would hit; of a range as `hit` looks."""
        self._expire(now)
        if target.kind == "session":
            return int(target.value in self._sessions)
        if target.kind != "range":
            return len(self._sessions_by[target.kind].get(target.value, _NOBODY))
        found: set[str] = set()
        for address in self.within(target.value):
            found.update(self._sessions_by["address"].get(address, ()))
            if len(found) > enough:
                break
        return len(found)

    def within(self, network: str) -> Iterator[str]:
        """Good addresses inside a range, at most `LOOKED`."""
        return islice(self._places.within(network), LOOKED)

    def crowd(self, network: str, most: int) -> int:
        """How many good principals were seen at one address of a range; 0 if at none of them more than `most`."""
        return next((many for each in self.within(network) if (many := len(self._by_address[each])) > most), 0)

    def count_within(self, network: str) -> int:
        """How many good addresses are inside a range."""
        return self._places.count(network)

    def _hit_within(self, network: str, enough: float) -> frozenset[str]:
        hit: set[str] = set()
        for address in self.within(network):
            hit.update(self._by_address[address])
            if len(hit) > enough:
                break
        return frozenset(hit)

    def _admit(self, sighting: Sighting, now: float) -> None:
        if len(self._seen) >= self._limit:
            self._expire(now)
        principal, _, address, _ = sighting
        self._make_room(self._principals.get(principal, []))
        self._principals.setdefault(principal, []).append(sighting)
        if address and canonical(address) not in self._by_address:
            self._places.add(canonical(address))
        for index, where, who in self._indexed(sighting):
            _more(index, where, who)

    def _make_room(self, own: list[Sighting]) -> None:
        full = len(self._seen) >= self._limit
        if not full and len(own) < MOST_EACH:
            return
        average = len(own) * len(self._principals) <= self._limit
        self._forget(next(iter(self._seen)) if full and average else own[0])
        self.forgotten += 1
        _FORGOTTEN.inc()

    def _expire(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] > now - self._window:
                return
            self._forget(oldest)

    def _forget(self, sighting: Sighting) -> None:
        del self._seen[sighting]
        principal, _, address, _ = sighting
        own = self._principals[principal]
        own.remove(sighting)
        if not own:
            del self._principals[principal]
        for index, where, who in self._indexed(sighting):
            _less(index[where], who)
            if not index[where]:
                del index[where]
        if address and canonical(address) not in self._by_address:
            self._places.remove(canonical(address))

    def _indexed(self, sighting: Sighting) -> Iterator[tuple[_Index, str, str]]:
        """Where a sighting counts: in which index, under what, and whom."""
        principal, actor, address, session = sighting
        yield self._by_actor, actor, principal
        if address:
            yield self._by_address, canonical(address), principal
        if session:
            yield self._sessions, session, principal
            yield self._sessions, session, actor
            yield self._sessions_by["principal"], principal, session
            yield self._sessions_by["actor"], actor, session
            yield self._sessions_by["address"], canonical(address), session


def _more(index: _Index, where: str, who: str) -> None:
    counts = index.get(where)
    if counts is None:
        index[where] = {who: 1}
    else:
        counts[who] = counts.get(who, 0) + 1


def _less(counts: dict[str, int], who: str) -> None:
    if counts[who] > 1:
        counts[who] -= 1
    else:
        del counts[who]
