"""A link is one connection of a bouncer, as far as it matters to what it was told."""

from __future__ import annotations

from collections.abc import Callable


class Link:
    """Whoever serves the connection says how it ended; whoever waits on it hears."""

    def __init__(self, abort: Callable[[], None]) -> None:
        """`abort` ends the connection at once."""
        self.abort = abort
        self.open = True
        self.in_order = False  # it ended, and not in the middle of anything
        self.on_end: Callable[[], None] = _nothing

    def ended(self, in_order: bool) -> None:
        """The connection is no more."""
        self.open, self.in_order = False, in_order
        self.on_end()


def _nothing() -> None:
    pass
