"""How patient a supervisor is with its line."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Times are seconds."""

    deadline: float = 2.0  # of one batch
    listing: float = 30.0  # of one question what is enforced: 100,000 blocks take a kernel a while
    shortest: float = 0.05  # first pause after a failure; doubled each time
    longest: float = 5.0
    reconcile: float = 30.0  # between two reconciliations
    batch: int = 1000  # orders in one call
    broken: int = 3  # answers in a row that no working line would give, after which it is quarantined

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, with jitter so that lines do not come back in step."""
        full = min(self.longest, self.shortest * 2.0 ** min(failures - 1, 16))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 jitter is no secret
