"""Whom a training tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]  # what is being done, and how much of all is done, 0 to 1


def quiet(what: str, share: float) -> None:
    """Progress that nobody is told of."""
