"""Cuts of a moment ago, so that a caller who comes back and is refused learns which cut it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gateway.sessions.cut import Cut
from gateway.sessions.session import Session

_MOST = 50_000  # names; the oldest is forgotten, and its caller told no more than the refusal's own reason
_SECONDS = 300.0

Names = tuple[bytes | str, ...]  # digests of credentials, ids of actors


class RecentCuts:
    """The last cut of the same credentials, else of whoever acted."""

    def __init__(self, kept: Callable[[Names, float, Cut], None] = lambda names, until, cut: None) -> None:
        """`kept` hears of each cut as `keep` takes it."""
        self._cuts: dict[bytes | str, tuple[float, Cut]] = {}
        self._kept = kept

    def __len__(self) -> int:
        return len(self._cuts)

    def saw(self, session: Session, cut: Cut, now: float) -> None:
        """A session was cut at `now` (Unix seconds)."""
        names = (session.evidence.digest, session.request.principal.actor)
        self.keep(tuple(name for name in names if name), now + _SECONDS, cut)

    def keep(self, names: Names, until: float, cut: Cut) -> None:
        """Whoever comes under one of these names learns of the cut until then (Unix seconds)."""
        for name in names:
            self._cuts.pop(name, None)
            self._cuts[name] = (until, cut)
        while len(self._cuts) > _MOST:
            del self._cuts[next(iter(self._cuts))]
        self._kept(names, until, cut)

    def all(self) -> Sequence[tuple[bytes | str, float, Cut]]:
        """All that are kept, the oldest first."""
        return tuple((name, until, cut) for name, (until, cut) in self._cuts.items())

    def find(self, names: Iterable[bytes | str], now: float) -> Cut | None:
        """The cut that the first of these names had lately, if one had."""
        for name in names:
            until, cut = self._cuts.get(name, (0.0, None))
            if cut is not None and now < until:
                return cut
        return None
