"""The embedded engine: compiled Rego in this process, microseconds a decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policy.data import DataStore, Path
from policy.rego.reading import Trace
from policy.revision import ACCESS, Revision

NANOSECONDS = 1_000_000_000


class EmbeddedEngine:
    """Rules and data change as a whole between two evaluations, none of which waits in the middle. Belongs to one
    thread.
    """

    def __init__(self, revision: Revision):
        self.data = DataStore(revision.data, self._changed)
        self._take(revision)

    def _take(self, revision: Revision) -> None:
        self.revision = revision
        self._cache = revision.program.cache()
        self._access = revision.program.evaluator(ACCESS)

    def decide(self, document: Any, now: float) -> tuple[Any, Trace]:
        """The access policy's answer and the trace of what it read. Raises EvaluationError."""
        return self._access(document, self.data.document, int(now * NANOSECONDS), self._cache.entries)

    async def ask(self, entrypoint: str, document: Any, now: float) -> Any:
        """Evaluate any entry point at once. Raises EvaluationError."""
        evaluate = self.revision.program.evaluator(entrypoint)
        return evaluate(document, self.data.document, int(now * NANOSECONDS), self._cache.entries)[0]

    def evaluate(self, path: Sequence[Any], document: Any, now: float) -> Any:
        """What lies at a path below `data`, rules and documents, or `UNDEFINED`. It may be part of the live document:
        copy what you keep. Raises EvaluationError.
        """
        return self.revision.program.at(path, document, self.data.document, int(now * NANOSECONDS))

    def activate(self, revision: Revision) -> None:
        """Replace the rules at once; live data stays."""
        self._take(revision)
        self.data.rebase(revision.data)

    def put_data(self, path: tuple[str, ...], value: Any) -> None:
        """Write live data. Raises TypeError, ValueError."""
        self.data.put(path, value)

    def remove_data(self, path: tuple[str, ...]) -> None:
        """Take live data away. Raises ValueError."""
        self.data.remove(path)

    def patch_data(self, operations: Any) -> None:
        """Apply a JSON patch as a whole. Raises PatchError."""
        self.data.patch(operations)

    async def aclose(self) -> None:
        """There is nothing to give up."""

    def _changed(self, paths: Sequence[Path]) -> None:
        self._cache.changed(paths)
