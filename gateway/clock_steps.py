"""Steps of the wall clock: what was right at one time of day may be wrong at another, though no time has passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_STEP_SECONDS: Final = 0.5  # a clock that is slewed moves by less between two looks


class ClockSteps:
    """Tells of each step by more than half a second between two looks."""

    def __init__(
        self,
        stepped: Callable[[], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stepped = stepped
        self._clock = clock
        self._monotonic = monotonic
        self._ahead = clock() - monotonic()

    def look(self) -> None:
        """Compare both clocks."""
        ahead = self._clock() - self._monotonic()
        if abs(ahead - self._ahead) > _STEP_SECONDS:
            self._stepped()
        self._ahead = ahead
