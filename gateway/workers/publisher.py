"""The gateway's side of replication: each change is with every judge that answers before it counts. Does no I/O: those
who take operations are behind a port.
"""

from __future__ import annotations

from typing import Protocol

import structlog
from prometheus_client import Counter

from gateway.workers.operation import BadOperation, Operation, framed

_PUBLISHED = Counter("portcullis_gateway_operations_published_total", "Changes of state told to judges")
_log = structlog.get_logger()


class Number(Protocol):
    """Where judges see which operation is the newest."""

    @property
    def number(self) -> int:
        """The newest."""
        ...

    def raise_to(self, number: int) -> None:
        """That operation counts now."""
        ...


class Follower(Protocol):
    """One who is told."""

    def take(self, frame: bytes) -> bool:
        """Have it in hand for certain; false from whoever will not answer another question."""
        ...

    def drop(self, why: str) -> None:
        """See to it that it answers no other question."""
        ...


class Publisher:
    """Numbers operations. When `publish` returns, nobody answers by what was before."""

    def __init__(self, newest: Number) -> None:
        self._newest = newest
        self._followers: list[Follower] = []

    @property
    def number(self) -> int:
        """Of the newest operation."""
        return self._newest.number

    def publish(self, operation: Operation) -> None:
        """Hand it to all, then let it count. What cannot be told leaves no follower: each begins again with a whole
        state.
        """
        number = self.number + 1
        _PUBLISHED.inc()
        try:
            frame = framed(number, operation) if self._followers else b""
        except BadOperation as error:
            self.begin_anew(str(error))
            return
        self._followers = [each for each in self._followers if each.take(frame)]
        self._newest.raise_to(number)

    def add(self, follower: Follower) -> None:
        """Tell it what comes from now on."""
        self._followers.append(follower)

    def remove(self, follower: Follower) -> None:
        """It is told no more."""
        if follower in self._followers:
            self._followers.remove(follower)

    def begin_anew(self, why: str) -> None:
        """Leave everybody behind what counts: nobody answers until it has been given the whole state again."""
        _log.error("judges begin anew", why=why)
        followers, self._followers = self._followers, []
        for follower in followers:
            follower.drop("anew")
        self._newest.raise_to(self.number + 1)
