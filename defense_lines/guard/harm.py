"""Harm: more of the good callers fail after a block than before it, by more than chance explains."""

from __future__ import annotations

import math
from typing import NamedTuple

from defense_lines.guard.limits import GuardLimits

_Z = 3.29  # of a one-sided test of two proportions: chance alone gets there once in two thousand looks


class Tally(NamedTuple):
    """Good callers seen within a while, each once; and those of them of whom some request failed."""

    callers: int
    failing: int

    @property
    def share(self) -> float:
        """Of the callers, how many fail."""
        return self.failing / self.callers if self.callers else 0.0


def risen(before: Tally, after: Tally, limits: GuardLimits) -> str | None:
    """The figures, where failing has risen; else None. Both whiles must be of the same length.

    At least `harm_callers` fail, their share has risen by at least `harm_share`, and a two-proportion z-test with
    pooled variance says that it is not chance.
    """
    if not before.callers or after.failing < limits.harm_callers or after.share - before.share < limits.harm_share:
        return None
    pooled = (before.failing + after.failing) / (before.callers + after.callers)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / before.callers + 1 / after.callers))
    if deviation and (after.share - before.share) / deviation < _Z:
        return None
    return f"{after.failing} of {after.callers} good callers fail, {before.failing} of {before.callers} before"
