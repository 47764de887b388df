"""Callers whom nobody could identify: why, for the log. The caller itself is told no more than an error code."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter

from gateway.enforcement import Answer, Attempt
from gateway.identity import Refusal

_log = structlog.get_logger()
_A_SECOND = 20  # lines; a flood of bad tokens is counted, and does not fill the disk
_LONGEST = 256  # characters of what a caller wrote
_UNTOLD = Counter("portcullis_gateway_unidentified_unlogged_total", "Unidentified requests beyond what the log takes")


class Unidentified:
    """Writes a line for each, under the id that the caller was told, up to 20 a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second, self._told = 0, 0

    def saw(self, attempt: Attempt, answer: Answer, refusal: Refusal) -> None:
        """Log why an attempt came to nothing. Who showed nothing is asked for something, and not told of."""
        if not refusal.error:
            return
        second = int(self._clock())
        if second != self._second:
            self._second, self._told = second, 0
        self._told += 1
        if self._told > _A_SECOND:
            _UNTOLD.inc()
            return
        _log.info(
            "caller not identified",
            decision=answer.id,
            error=refusal.error,
            detail=refusal.detail[:_LONGEST],
            address=attempt.address,
            host=attempt.host[:_LONGEST],
            path=attempt.target.partition("?")[0][:_LONGEST],
        )
