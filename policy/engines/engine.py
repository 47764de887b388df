"""What the PDP asks of an engine."""

from __future__ import annotations

from typing import Any, Protocol

from policy.revision import Revision


class PolicyUnavailable(Exception):
    """The engine cannot answer now; nothing passes."""


class Engine(Protocol):
    """Evaluates a revision over its document and live data."""

    revision: Revision

    async def ask(self, entrypoint: str, document: Any, now: float) -> Any:
        """Value of an entry point, or `UNDEFINED`, by the revision and data that are live when this returns; `now` is
        Unix seconds. Raises PolicyUnavailable.
        """
        ...

    def activate(self, revision: Revision) -> None:
        """Replace the rules at once; live data stays."""
        ...

    def put_data(self, path: tuple[str, ...], value: Any) -> None:
        """Write live data. Raises TypeError, ValueError."""
        ...

    def remove_data(self, path: tuple[str, ...]) -> None:
        """Take live data away."""
        ...

    async def aclose(self) -> None:
        """Give up connections."""
        ...
