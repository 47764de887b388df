"""When lines are told what is new: at once while orders are few, and some together once they come in a flood. Pure.

Each message costs both its ends as much as several orders do, so that a line which is told of every one of a thousand
orders a second by itself would only fall behind. The generic cell rate algorithm (ITU-T I.371, annex A), with a round
as its cell.
"""

from __future__ import annotations

from typing import Final

EVERY: Final = 0.05  # seconds between rounds in a flood
FREE: Final = 10  # rounds that need not keep to it, after a while without


class Rounds:
    """One for all lines: those in step are told one and the same message. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._next = float("-inf")  # when the next one would be due, had they all kept to EVERY

    def due(self) -> float:
        """No round begins before."""
        return self._next - FREE * EVERY

    def begin(self, tick: float) -> None:
        """A round begins."""
        self._next = max(self._next, tick) + EVERY
