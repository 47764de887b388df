"""What OPA is to hold: the live revision and live data, and what changed there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.data import DataStore, Path
from policy.revision import Revision

EVERYTHING: Path = ()
_MOST = 10_000  # changes to remember, for as long as OPA is away


@dataclass(frozen=True, slots=True)
class State:
    """Rules and data that belong together; `generation` counts the changes."""

    revision: str
    generation: int


class Wanted:
    """Live rules and data. The data changes in place: what is to be sent is written down before the first wait."""

    def __init__(self, revision: Revision):
        self.revision = revision
        self.data = DataStore(revision.data, self._changed)
        self._generation = 1
        self._paths: list[Path] = []

    @property
    def state(self) -> State:
        """What an answer must be given from to count now."""
        return State(self.revision.id, self._generation)

    def activate(self, revision: Revision) -> None:
        """Replace the rules; live data stays."""
        self.revision = revision
        self.data.rebase(revision.data)

    def changes(self) -> list[Path]:
        """The paths that changed since this was asked last."""
        paths, self._paths = self._paths, []
        return paths

    def _changed(self, paths: Sequence[Path]) -> None:
        self._generation += 1
        self._paths += paths
        if len(self._paths) > _MOST:
            self._paths = [EVERYTHING]
