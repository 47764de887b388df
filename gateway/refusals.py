"""Refusals that repeat: the first of a minute goes on record, the others are counted on it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from prometheus_client import Counter

_WINDOW = 60.0  # seconds
_MOST = 1024  # different refusals in a window; beyond it they are only counted
_REPEATED = Counter("portcullis_gateway_refusals_repeated_total", "Refusals counted, not recorded anew", ["rule"])

Answer = dict[str, Any]


class Key(NamedTuple):
    """What makes two refusals the same."""

    rule: str
    kind: str
    value: str
    by: str


_Recent = OrderedDict[Key, tuple[float, Answer]]


class Refusals:
    """The different refusals of the last minute, and how often each came again. `monotonic` gives seconds. Detectors'
    and people's are apart: no detector run wild leaves what analysts were refused off the record.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._detectors: _Recent = OrderedDict()  # the oldest first
        self._people: _Recent = OrderedDict()

    def first(self, key: Key, refused: Answer) -> bool:
        """Whether this is to go on record; else it counts as one more of what is on record, or of too many."""
        now, recent = self._monotonic(), self._of(key)
        while recent and next(iter(recent.values()))[0] <= now - _WINDOW:
            recent.popitem(last=False)
        earlier = recent.get(key)
        if earlier is None and len(recent) < _MOST:
            recent[key] = (now, refused)
            return True
        if earlier is not None:
            earlier[1]["repeated"] += 1
        _REPEATED.labels(refused["rule"]).inc()
        return False

    def forget(self, key: Key) -> None:
        """It could not be put on record: the next is the first."""
        self._of(key).pop(key, None)

    def _of(self, key: Key) -> _Recent:
        return self._detectors if key.by.startswith("detector:") else self._people
