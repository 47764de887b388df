"""A circuit breaker: one that failed several times in a row is left alone for a while. No clock of its own."""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Closed, everybody passes; open, nobody for `pause` seconds; half open, one in `pause` seconds, and how it fares
    closes or opens the circuit. Times are seconds of the caller's clock, and never run backwards.
    """

    def __init__(self, failures: int, pause: float) -> None:
        self._most = failures
        self._pause = pause
        self._failed = 0  # in a row
        self._until = 0.0  # while open: nobody passes before this

    def state(self, now: float) -> State:
        """What `admit` would go by."""
        if self._failed < self._most:
            return "closed"
        return "open" if now < self._until else "half_open"

    def admit(self, now: float) -> bool:
        """Whether one more may pass. One that passes and never tells how it fared holds up the next by `pause`."""
        if self._failed < self._most:
            return True
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def succeeded(self) -> None:
        """One that had passed fared well: closed."""
        self._failed = 0

    def failed(self, now: float) -> None:
        """One that had passed fared badly."""
        self._failed = min(self._failed + 1, self._most)
        if self._failed == self._most:
            self._until = now + self._pause
