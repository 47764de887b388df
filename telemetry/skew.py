"""How far each source's clock lies from ours, as its events show it."""

from __future__ import annotations

from math import inf
from typing import Final

import numpy as np
import prometheus_client
from numpy.typing import NDArray

from telemetry.event import EventBatch
from telemetry.few_names import FewNames

WINDOW: Final = 60.0  # seconds
_SOURCES: Final = 64  # of one batch that are looked at
_SAMPLE: Final = 1024  # rows of a batch whose median is taken
_SKEW = prometheus_client.Gauge(
    "portcullis_telemetry_clock_skew_seconds",
    "How old a source's events are when they come, at least, of late; below 0 its clock is ahead of ours",
    ["source"],
)


class Skew:
    """The least age of late, by source: of the last one to two windows the smallest median of a batch.

    A median, for one event with a nonsense time must not count; the least, for events may wait before they come, and
    what remains when nothing waits is the clock. A clock that is behind and events that always wait look the same.
    """

    def __init__(self) -> None:
        self._name = FewNames()
        self._ages: dict[str, tuple[float, float, float]] = {}  # when the window began, least age in it, and before it

    def note(self, batch: EventBatch, now: float) -> None:
        """What these events say, whether or not they are refused; `now` in Unix seconds."""
        for code in np.unique(batch.source.codes)[:_SOURCES].tolist():
            age = _age(batch.time[batch.source.codes == code], now)
            if age is not None:
                source = self._name(batch.source.values[code])
                _SKEW.labels(source).set(self._least(source, age, now))

    def _least(self, source: str, age: float, now: float) -> float:
        began, least, before = self._ages.get(source, (now, inf, inf))
        if now - began >= WINDOW:
            began, least, before = now, inf, least if now - began < 2 * WINDOW else inf
        self._ages[source] = (began, min(least, age), before)
        return min(least, age, before)


def _age(times: NDArray[np.float64], now: float) -> float | None:
    some = times[:: max(1, len(times) // _SAMPLE)]
    some = some[np.isfinite(some)]
    return float(now - np.median(some)) if len(some) else None
