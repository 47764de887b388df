"""Cuts of a moment ago, so that a caller who comes back and is refused learns which cut it was."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.sessions.cut import Cut
from gateway.sessions.session import Session

_MOST = 50_000  # names; the oldest is forgotten, and its caller told no more than the refusal's own reason
_SECONDS = 300.0


class RecentCuts:
    """The last cut of the same credentials, else of whoever acted."""

    def __init__(self) -> None:
        self._cuts: dict[bytes | str, tuple[float, Cut]] = {}

    def __len__(self) -> int:
        return len(self._cuts)

    def saw(self, session: Session, cut: Cut, now: float) -> None:
        """A session was cut at `now` (Unix seconds)."""
        for name in (session.evidence.digest, session.request.principal.actor):
            if name:
                self._cuts.pop(name, None)
                self._cuts[name] = (now + _SECONDS, cut)
        while len(self._cuts) > _MOST:
            del self._cuts[next(iter(self._cuts))]

    def find(self, names: Iterable[bytes | str], now: float) -> Cut | None:
        """The cut that the first of these names had lately, if one had."""
        for name in names:
            until, cut = self._cuts.get(name, (0.0, None))
            if cut is not None and now < until:
                return cut
        return None
