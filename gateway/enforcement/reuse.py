"""For how long, and for which other questions, an answer holds: what the edge may give again without asking.

An answer depends on what the decision read and on what the judge itself looks at: proof, revocations, agents, blocks,
the device. Of that the edge sees credentials, address, method, host and path, which every such question has in common
with the first, and the query, where the decision read it. The rest changes by signals, each of which marks whom it
touches (`gateway.edge.Epochs`); and by time, which a bound covers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final

import msgspec

from gateway.edge import bucket
from gateway.enforcement.frames import VARIES_BY_QUERY
from gateway.identity import Evidence, names_of
from policy import AccessRequest, Decision, Principal, ReadPath

_SAME: Final = frozenset(
    # of `input`: the same for the same credentials, address, method, host and path, until a signal
    ("version", "principal", "action", "service", "path", "segments", "host", "address", "stream", "device", "context")
)
_VARIES: Final = {"query": VARIES_BY_QUERY}
_RISK: Final = ("data", "risk")
_REMEMBERED: Final = 10_000  # principals; then all are asked for again
_MARGIN_SECONDS: Final = 2.0  # that a transaction token is still good for when it is given the last time


class Reuse(msgspec.Struct, frozen=True, gc=False):
    """What the edge is told of it."""

    ttl_ms: int = 0  # 0: this answer is for one question alone
    varies: int = 0  # VARIES_BY_…
    buckets: tuple[int, ...] = ()


ONCE: Final = Reuse()


Evidenced = Callable[[], tuple[Evidence, str]]  # what a principal's proof rests on, and its device


class Reusing:
    """Says it of allowed requests. `seconds`: the bound; 0 means that every request is judged."""

    def __init__(self, seconds: float, transaction_seconds: float) -> None:
        self._longest = max(0.0, min(seconds, transaction_seconds / 2 - _MARGIN_SECONDS))
        self._people: dict[int, tuple[Principal, tuple[int, ...]]] = {}  # by identity of the principal, which is held

    @property
    def ever(self) -> bool:
        """Whether any answer is given again."""
        return self._longest > 0.0

    def of(self, request: AccessRequest, decision: Decision, evidenced: Evidenced) -> Reuse:
        """What holds of the answer to a request that was allowed at `request.time`. The same principal, which
        identification remembers, rests on the same evidence: it is asked for once.
        """
        seconds = min(self._longest, request.principal.expires - request.time) if self._longest else 0.0
        if seconds <= 0.0 or request.body is not None:
            return ONCE
        read = decision.depends
        varies = _varies(read)
        if varies is None:
            return ONCE
        people = self._buckets(request.principal, evidenced)
        return Reuse(int(seconds * 1000), varies, (*people, _bucket("address", request.address), *_risks(read)))

    def _buckets(self, principal: Principal, evidenced: Evidenced) -> tuple[int, ...]:
        known = self._people.get(id(principal))
        if known is not None:
            return known[1]
        evidence, device = evidenced()
        buckets = tuple(_buckets_of(principal, device, evidence))
        if len(self._people) >= _REMEMBERED:
            self._people.clear()
        self._people[id(principal)] = (principal, buckets)
        return buckets


def _varies(paths: Iterable[ReadPath]) -> int | None:
    """What else must be the same; None where that is not enough: clock, random, body, the whole input, all risks."""
    found = 0
    for path in paths:
        if path[0] == "data":
            if len(path) == 1 or path == _RISK:
                return None
        elif path[0] != "input" or len(path) == 1:
            return None
        elif path[1] not in _SAME:
            if path[1] not in _VARIES:
                return None
            found |= _VARIES[path[1]]
    return found


def _risks(paths: Iterable[ReadPath]) -> Iterator[int]:
    for path in paths:
        if path[:2] == _RISK:
            yield bucket("risk", str(path[2]))


def _buckets_of(principal: Principal, device: str, evidence: Evidence) -> Iterator[int]:
    for kind, value in names_of(principal, device):
        yield _bucket(kind, value)
    yield _bucket("issuer", evidence.issuer)
    for key in {evidence.key, evidence.holder} - {""}:
        yield _bucket("key", key)
    if evidence.certificate is not None:
        yield _bucket("certificate", evidence.certificate.thumbprint)
        yield _bucket("evidence", "certificate")


_bucket = lru_cache(maxsize=65536)(bucket)
