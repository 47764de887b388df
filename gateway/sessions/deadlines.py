"""When each session must be looked at again, whatever happens: its proof ends, or it was judged too long ago."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from gateway.sessions.session import Session

_CLOCKS = frozenset({("input", "now"), ("input", "time"), ("time.now_ns",)})


class Deadlines:
    """The earliest first. A session that has ended is forgotten when its deadline comes, or when most have."""

    def __init__(self, oldest: float, oldest_by_clock: float) -> None:
        """Seconds after which a session is judged again though nothing happened: any, and one whose decision read the
        time.
        """
        self._oldest = oldest
        self._oldest_by_clock = oldest_by_clock
        self._heap: list[tuple[float, str]] = []

    def add(self, session: Session, live: Mapping[str, Session]) -> None:
        """Look at the session when it is due. `live`: all sessions, by id."""
        heapq.heappush(self._heap, (self._due(session), session.id))
        if len(self._heap) > 1024 + 2 * len(live):
            self._heap = [(self._due(each), each.id) for each in live.values()]
            heapq.heapify(self._heap)

    def due(self, now: float, live: Mapping[str, Session]) -> Iterator[Session]:
        """Live sessions that are due at `now` (Unix seconds); who lives on must be added anew."""
        while self._heap and self._heap[0][0] <= now:
            session = live.get(heapq.heappop(self._heap)[1])
            if session is not None:
                yield session

    def _due(self, session: Session) -> float:
        oldest = self._oldest if _CLOCKS.isdisjoint(session.depends) else self._oldest_by_clock
        return min(session.request.principal.expires, session.judged + oldest)
