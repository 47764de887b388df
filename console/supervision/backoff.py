"""How long to wait before a process that died is started again: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failures:
    """Deaths in a row, none after a settled life."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds: the first wait, the longest, and the life after which all is forgiven."""

    first: float = 0.05
    longest: float = 5.0
    settled: float = 10.0

    def after(self, failures: Failures, lived: float) -> tuple[Failures, float]:
        """A process died after `lived` seconds: the failures now, and the seconds to wait. Each wait doubles."""
        count = 1 if lived >= self.settled else failures.count + 1
        doublings = min(count - 1, 64)
        return Failures(count), min(self.longest, self.first * 2**doublings)
