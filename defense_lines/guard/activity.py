"""Activity is who the good callers of the last hour are, and where they were seen; blast radius is measured on it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Counter

from defense_lines.guard.spans import Span, span
from policy import Target

WINDOW = 3600.0  # seconds
_REFRESH = 30.0  # seconds within which a second sighting changes nothing: keeps the usual call under a microsecond
_BUCKET = 8  # bits: addresses are grouped by IPv4 /24 so that a range need not look at each
_FORGOTTEN = Counter("portcullis_defense_lines_activity_forgotten_total", "Good sightings forgotten for lack of room")

_Sighting = tuple[str, str, str, str]  # principal, actor, address, session
_Index = dict[str, dict[str, int]]  # where -> who -> sightings


class Activity:
    """Sightings of allowed requests, bounded: beyond `limit` the oldest is forgotten and counted.

    `now` is Unix seconds. Not thread-safe: the gateway's loop owns it.
    """

    def __init__(self, limit: int = 200_000) -> None:
        self._limit = limit
        self._seen: dict[_Sighting, float] = {}  # in order of refresh, the oldest first
        self._principals: dict[str, int] = {}
        self._by_actor: _Index = {}  # actor -> principals
        self._by_address: _Index = {}  # address -> principals
        self._by_session: _Index = {}  # session -> principals and actors
        self._buckets: dict[int, dict[str, Span]] = {}
        self.forgotten = 0  # sightings dropped within their hour

    def __len__(self) -> int:
        return len(self._seen)

    def saw(self, principal: str, actor: str, address: str, session: str, now: float) -> None:
        """An allowed request: for whom, by whom, from where, in which session ("" if unknown)."""
        sighting = (principal, actor, address, session)
        last = self._seen.get(sighting)
        if last is not None and now - last < _REFRESH:
            return
        if last is None:
            self._admit(sighting, now)
        else:
            del self._seen[sighting]
        self._seen[sighting] = now

    def principals(self, now: float) -> int:
        """How many good principals the last hour has."""
        self._expire(now)
        return len(self._principals)

    def addresses(self, now: float) -> int:
        """How many good addresses the last hour has."""
        self._expire(now)
        return len(self._by_address)

    def owners(self, session: str, now: float) -> frozenset[str]:
        """Principals and actors seen in a session."""
        self._expire(now)
        return frozenset(self._by_session.get(session, ()))

    def hit(self, target: Target, now: float, enough: float = float("inf")) -> frozenset[str]:
        """Good principals that a block of this target would hit; it stops looking beyond `enough` of them."""
        self._expire(now)
        value = target.value
        if target.kind == "range":
            return self._hit_within(value, enough)
        if target.kind == "address":
            return frozenset(self._by_address.get(value, ()))
        if target.kind == "session":
            return frozenset(name for name in self._by_session.get(value, ()) if name in self._principals)
        own = {value} if value in self._principals else set()
        return frozenset(own | self._by_actor.get(value, {}).keys())

    def within(self, network: str) -> Iterator[str]:
        """Good addresses inside a range."""
        wanted = span(network)
        low, high = wanted.first >> _BUCKET, wanted.last >> _BUCKET
        if high - low < len(self._buckets):
            near = [self._buckets[number] for number in range(low, high + 1) if number in self._buckets]
        else:
            near = [bucket for number, bucket in self._buckets.items() if low <= number <= high]
        return (address for bucket in near for address, at in bucket.items() if wanted.overlaps(at))

    def _hit_within(self, network: str, enough: float) -> frozenset[str]:
        hit: set[str] = set()
        for address in self.within(network):
            hit.update(self._by_address[address])
            if len(hit) > enough:
                break
        return frozenset(hit)

    def _admit(self, sighting: _Sighting, now: float) -> None:
        if len(self._seen) >= self._limit:
            self._expire(now)
        if len(self._seen) >= self._limit:
            self._forget(next(iter(self._seen)))
            self.forgotten += 1
            _FORGOTTEN.inc()
        principal, actor, address, session = sighting
        self._principals[principal] = self._principals.get(principal, 0) + 1
        _more(self._by_actor, actor, principal)
        _more(self._by_session, session, principal)
        _more(self._by_session, session, actor)
        if address not in self._by_address:
            self._place(address)
        _more(self._by_address, address, principal)

    def _place(self, address: str) -> None:
        try:
            at = span(address)
        except ValueError:  # a caller over a Unix socket has no address: no range can hit it
            return
        self._buckets.setdefault(at.first >> _BUCKET, {})[address] = at

    def _expire(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest] > now - WINDOW:
                return
            self._forget(oldest)

    def _forget(self, sighting: _Sighting) -> None:
        del self._seen[sighting]
        principal, actor, address, session = sighting
        _less(self._principals, principal)
        for index, where, who in (
            (self._by_actor, actor, principal),
            (self._by_session, session, principal),
            (self._by_session, session, actor),
            (self._by_address, address, principal),
        ):
            _less(index[where], who)
            if not index[where]:
                del index[where]
        if address not in self._by_address:
            self._displace(address)

    def _displace(self, address: str) -> None:
        try:
            number = span(address).first >> _BUCKET
        except ValueError:
            return
        del self._buckets[number][address]
        if not self._buckets[number]:
            del self._buckets[number]


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
