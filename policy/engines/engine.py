"""What the PDP asks of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from policy.data import DataStore
from policy.revision import Revision


class PolicyUnavailable(Exception):
    """The engine cannot answer now; nothing passes."""


class Engine(Protocol):
    """Evaluates a revision over its document and live data."""

    @property
    def revision(self) -> Revision:
        """The live one."""
        ...

    @property
    def data(self) -> DataStore:
        """The revision's document with live data over it; what it changes is seen by the next decision."""
        ...

    async def ask(self, entrypoint: str, document: Any, now: float) -> Any:
        """Value of an entry point, or `UNDEFINED`, by the revision and data that are live when this returns; `now` is
        Unix seconds. Raises PolicyUnavailable, EvaluationError.
        """
        ...

    def evaluate(self, path: Sequence[Any], document: Any, now: float) -> Any:
        """What lies at a path below `data`, rules and documents, or `UNDEFINED`: in this process, at once. It may be
        part of the live document: copy what you keep. Raises EvaluationError.
        """
        ...

    def activate(self, revision: Revision) -> None:
        """Replace the rules at once; live data stays."""
        ...

    def put_data(self, path: tuple[str, ...], value: Any) -> None:
        """Write live data. Raises TypeError, ValueError."""
        ...

    def remove_data(self, path: tuple[str, ...]) -> None:
        """Take live data away. Raises ValueError."""
        ...

    def patch_data(self, operations: Any) -> None:
        """Apply a JSON patch (RFC 6902), decoded, as a whole. Raises PatchError."""
        ...

    async def aclose(self) -> None:
        """Give up connections."""
        ...
