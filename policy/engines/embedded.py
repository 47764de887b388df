"""The embedded engine: compiled Rego in this process, microseconds a decision."""

from __future__ import annotations

import threading
from typing import Any

from policy.live import LiveData
from policy.revision import ACCESS, Revision


class EmbeddedEngine:
    """Rules and data change as a whole: an evaluation sees one revision and one state of the data."""

    def __init__(self, revision: Revision):
        self._writing = threading.Lock()
        self._live = LiveData(revision.data)
        self.revision = revision
        self._state = (revision, revision.program.rule(ACCESS), self._live.document)

    def decide(self, document: Any, now: float) -> tuple[Revision, Any]:
        """The access policy's answer and the revision that gave it. Raises EvaluationError."""
        revision, rule, data = self._state
        return revision, rule(document, data, int(now * 1_000_000_000))

    async def ask(self, entrypoint: str, document: Any, now: float) -> Any:
        """Evaluate any entry point at once. Raises EvaluationError."""
        revision, _, data = self._state
        return revision.program.evaluate(entrypoint, document, data, int(now * 1_000_000_000))

    def activate(self, revision: Revision) -> None:
        """Replace the rules at once; live data stays."""
        with self._writing:
            self._live.rebase(revision.data)
            self.revision = revision
            self._state = (revision, revision.program.rule(ACCESS), self._live.document)

    def put_data(self, path: tuple[str, ...], value: Any) -> None:
        """Write live data. Raises TypeError, ValueError."""
        with self._writing:
            self._live.put(path, value)
            self._state = (*self._state[:2], self._live.document)

    def remove_data(self, path: tuple[str, ...]) -> None:
        """Take live data away."""
        with self._writing:
            self._live.remove(path)
            self._state = (*self._state[:2], self._live.document)

    async def aclose(self) -> None:
        """There is nothing to give up."""
