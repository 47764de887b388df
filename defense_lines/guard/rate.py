"""Rate: how many blocks one author may have in a minute, so that no detector run wild blocks the whole bank."""

from __future__ import annotations

from collections import deque

WINDOW = 60.0  # seconds
_MAX_AUTHORS = 1024  # beyond it new authors are refused until old ones fall silent


class Rate:
    """A sliding minute of permits for each author. Times are monotonic seconds, never going back."""

    def __init__(self, per_minute: int) -> None:
        self._limit = per_minute
        self._given: dict[str, deque[float]] = {}

    def refuses(self, author: str, now: float) -> str | None:
        """Reason to refuse one more block of this author now, or None."""
        given = self._recent(author, now)
        if given is None:
            return f"more than {_MAX_AUTHORS} authors of blocks within a minute"
        if len(given) >= self._limit:
            return f"{author} has had {len(given)} blocks within a minute, the limit is {self._limit}"
        return None

    def count(self, author: str, now: float) -> None:
        """A block of this author was permitted now."""
        given = self._recent(author, now)
        if given is not None:
            given.append(now)

    def _recent(self, author: str, now: float) -> deque[float] | None:
        if author not in self._given:
            if len(self._given) >= _MAX_AUTHORS:
                self._forget(now)
            if len(self._given) >= _MAX_AUTHORS:
                return None
            self._given[author] = deque()
        given = self._given[author]
        while given and given[0] <= now - WINDOW:
            given.popleft()
        return given

    def _forget(self, now: float) -> None:
        silent = [author for author, given in self._given.items() if not given or given[-1] <= now - WINDOW]
        for author in silent:
            del self._given[author]
