"""Names come from outside; metrics and queues keep one entry for each, so there must not be endlessly many."""

from __future__ import annotations

from typing import Final

OTHERS: Final = "(others)"


class FewNames:
    """Keeps the first `limit` names apart; all later ones are OTHERS."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._names: set[str] = set()

    def __call__(self, name: str) -> str:
        """The name itself, or OTHERS."""
        if len(self._names) < self._limit:
            self._names.add(name)
        return name if name in self._names else OTHERS
