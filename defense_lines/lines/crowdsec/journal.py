"""The journal numbers what has changed at addresses and ranges, so that of each bouncer one number is to be known."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

from policy import Target

MOST = 250_000  # changes that are remembered


class Change(NamedTuple):
    """A block on a target has begun or ended."""

    target: Target
    lines: tuple[str, ...]  # that the block means; empty means every line
    clear: bool  # have a bouncer take away what it has before it adds: it keeps the time of what it has


class Journal:
    """The latest changes, each at its place: 1, 2, 3, …"""

    def __init__(self, most: int = MOST) -> None:
        self.last = 0  # place of the newest
        self._changes: deque[Change] = deque(maxlen=most)

    @property
    def forgotten(self) -> int:
        """Up to which place nothing is known any more."""
        return self.last - len(self._changes)

    def add(self, change: Change) -> None:
        """One more; the oldest is forgotten where there is no room."""
        self._changes.append(change)
        self.last += 1

    def since(self, place: int) -> list[Change]:
        """What came after a place, the oldest first."""
        newest = list(islice(reversed(self._changes), max(0, self.last - place)))
        newest.reverse()
        return newest
