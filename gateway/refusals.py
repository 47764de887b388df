"""Refusals that repeat: the first of a minute goes on record, the others are counted on it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

_WINDOW = 60.0  # seconds
_MOST = 1024  # different refusals in a window; beyond it they are only counted
_REPEATED = Counter("portcullis_gateway_refusals_repeated_total", "Refusals counted, not recorded anew", ["rule"])

Answer = dict[str, Any]


class Refusals:
    """The different refusals of the last minute, and how often each came again. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._recent: OrderedDict[tuple[str, ...], tuple[float, Answer]] = OrderedDict()  # the oldest first

    def first(self, key: tuple[str, ...], refused: Answer) -> bool:
        """Whether this is to go on record; else it counts as one more of what is on record, or of too many."""
        now = self._monotonic()
        while self._recent and next(iter(self._recent.values()))[0] <= now - _WINDOW:
            self._recent.popitem(last=False)
        earlier = self._recent.get(key)
        if earlier is None and len(self._recent) < _MOST:
            self._recent[key] = (now, refused)
            return True
        if earlier is not None:
            earlier[1]["repeated"] += 1
        _REPEATED.labels(refused["rule"]).inc()
        return False
