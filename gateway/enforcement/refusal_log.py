"""Why callers were not identified: for our log alone, and so many lines a second, since anybody may cause them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import Counter

from gateway.identity import Refusal

_log = structlog.get_logger()
_UNTOLD = Counter("portcullis_gateway_unidentified_untold_total", "Refused credentials of which the log says nothing")
_A_SECOND: Final = 10  # lines
_LONGEST: Final = 300  # characters of a reason, which may hold what the caller wrote


class RefusalLog:
    """The log of refused credentials. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._second = self._lines = 0

    def tell(self, refusal: Refusal, **place: str) -> None:
        """Say why, and where: the id that the caller was given, for one; nothing of who showed nothing."""
        if not refusal.error:
            return
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines == _A_SECOND:
            _UNTOLD.inc()
            return
        self._lines += 1
        said = place | {"error": refusal.error, "why": refusal.detail}
        _log.info("not identified", **{name: text[:_LONGEST] for name, text in said.items()})
