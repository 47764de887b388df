"""At the door: what a source says must be possible. What is not is refused, counted, and kept aside to be looked at."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telemetry.event import EventBatch, Kind, Words
from telemetry.malformed import MAX_TEXT
from telemetry.rejects import Rejects

_TEXTS = ("subject", "actor", "session", "peer", "service", "resource", "action", "outcome", "name")
_LONGEST = 10 * 365 * 86_400.0  # seconds that anything may have lasted
_MAX_SOURCE = 128  # characters
_SHOWN = 10  # rows of a batch that are kept aside for one reason; the others are only counted


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far from now an event may lie, seconds."""

    past: float = 7 * 86_400.0  # a sensor reports a connection when it ends, with the time when it began
    ahead: float = 60.0


LIVE = Bounds()
HISTORY = Bounds(past=float("inf"))  # imported files: any time since 1970


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that were refused, and why (one of few reasons, fit for a metric)."""

    reason: str
    rows: EventBatch


def cleanse(batch: EventBatch, now: float, bounds: Bounds = LIVE) -> tuple[EventBatch, Sequence[Refused]]:
    """Part possible rows from impossible ones; the first reason counts. Costs no Python per row."""
    good = np.ones(len(batch), np.bool_)
    refused: list[Refused] = []
    for reason, bad in _impossible(batch, now, bounds):
        rows = bad & good
        if rows.any():
            refused.append(Refused(reason, batch.take(rows)))
            good &= ~rows
    return (batch.take(good), refused) if refused else (batch, ())


class Door:
    """Cleanses what a source publishes and passes on the rest: give its `publish` to a source in place of the bus's."""

    def __init__(
        self, publish: Callable[[EventBatch], None], rejects: Rejects, clock: Callable[[], float], bounds: Bounds = LIVE
    ) -> None:
        self._publish = publish
        self._rejects = rejects
        self._clock = clock
        self._bounds = bounds

    def publish(self, batch: EventBatch) -> None:
        """Publish the possible rows; refuse the others."""
        self.admit(batch)

    def admit(self, batch: EventBatch) -> dict[str, int]:
        """The same, and tell how many rows were refused, by reason."""
        clean, refused = cleanse(batch, self._clock(), self._bounds)
        for part in refused:
            self._refuse(part)
        if len(clean):
            self._publish(clean)
        return {part.reason: len(part.rows) for part in refused}

    def _refuse(self, part: Refused) -> None:
        for event in part.rows.take(slice(_SHOWN)).events():
            self._rejects.add(event.source, part.reason, repr(event))
        for source, count in Counter(part.rows.take(slice(_SHOWN, None)).source).items():
            self._rejects.count(source, part.reason, count)


def _impossible(batch: EventBatch, now: float, bounds: Bounds) -> Sequence[tuple[str, NDArray[np.bool_]]]:
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(batch.time)
        return (
            ("bad_time", ~finite | (batch.time <= 0)),
            ("too_old", batch.time < now - bounds.past),
            ("in_future", batch.time > now + bounds.ahead),
            ("bad_duration", ~(batch.duration >= 0) | (batch.duration > _LONGEST)),
            ("negative_size", (batch.bytes_in < 0) | (batch.bytes_out < 0)),
            ("bad_port", (batch.port < 0) | (batch.port > 65535)),
            ("bad_status", batch.status < 0),
            ("bad_severity", batch.severity > 4),
            ("bad_kind", ~np.isin(batch.kind, _KINDS)),
            ("bad_address", _by_text(batch.address, lambda text: text == "" or _is_address(text))),
            ("bad_source", _by_text(batch.source, lambda text: 0 < len(text) <= _MAX_SOURCE)),
            ("long_text", _any(_by_text(getattr(batch, name), _is_short) for name in _TEXTS)),
        )


_KINDS = np.array(list(Kind), np.uint8)


def _by_text(words: Words, is_good: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Rows whose text is bad, judged once for each distinct text."""
    bad = np.fromiter((not is_good(text) for text in words.values), np.bool_, len(words.values))
    return bad[words.codes] if bad.any() else np.zeros(len(words.codes), np.bool_)


def _any(masks: Any) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.logical_or.reduce(list(masks))
    return result


def _is_short(text: str) -> bool:
    return len(text) <= MAX_TEXT


@lru_cache(65_536)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
