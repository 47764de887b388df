"""At the door: what a source says must be possible. What is not is refused, counted, and kept aside to be looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isinf

import numpy as np
from numpy.typing import NDArray

from telemetry.addresses import are_addresses
from telemetry.duplicates import Remembered
from telemetry.event import IS_KIND, Event, EventBatch
from telemetry.malformed import MAX_TEXT
from telemetry.rejects import Rejects
from telemetry.skew import Skew
from telemetry.sources.jsonlines import json_line
from telemetry.texts import Texts
from telemetry.words import Words

Bad = NDArray[np.bool_]

_TEXTS = ("subject", "actor", "session", "peer", "service", "resource", "action", "outcome", "name")
_LONGEST = 10 * 365 * 86_400.0  # seconds that anything may have lasted
_MAX_SOURCE = 128  # characters
_KEPT = 256  # rows of a batch that are kept aside for one reason; the others are only counted


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far from now an event may lie, in seconds, and among how many events one that comes again is known."""

    past: float = 7 * 86_400.0  # a sensor reports a connection when it ends, with the time when it began
    ahead: float = 60.0
    remembered_bits: int = 20  # among 2 to the power of it; 0: among none


LIVE = Bounds()
HISTORY = Bounds(past=float("inf"), remembered_bits=0)  # imported files: any time since 1970, as often as wanted


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
        self._remembered = Remembered(bounds.remembered_bits) if bounds.remembered_bits else None
        self._skew = None if isinf(bounds.past) else Skew()

    def publish(self, batch: EventBatch) -> None:
        """Publish the possible rows; refuse the others."""
        self.admit(batch)

    def admit(self, batch: EventBatch) -> dict[str, int]:
        """The same, and tell how many rows were refused, by reason."""
        now = self._clock()
        if self._skew:
            self._skew.note(batch, now)
        clean, refused = cleanse(batch, now, self._bounds)
        for part in refused:
            self._refuse(part)
        clean, again = self._once(clean)
        if len(clean):
            self._publish(clean)
        return {part.reason: len(part.rows) for part in (*refused, *again)}

    def _once(self, batch: EventBatch) -> tuple[EventBatch, Sequence[Refused]]:
        """Part the rows that were there before: they are counted, and not kept aside, for they were published."""
        again = self._remembered.again(batch) if self._remembered else np.zeros(0, np.bool_)
        if not again.any():
            return batch, ()
        part = Refused("duplicate", batch.take(again))
        self._count(part.reason, part.rows)
        return batch.take(~again), (part,)

    def _refuse(self, part: Refused) -> None:
        kept = 0 if part.reason == "bad_kind" else _KEPT  # what has no kind is no event
        for event in part.rows.take(slice(kept)).events():
            self._rejects.add(event.source, part.reason, _line(event))
        self._count(part.reason, part.rows.take(slice(kept, None)))

    def _count(self, reason: str, rows: EventBatch) -> None:
        for source, count in Counter(rows.source).items():
            self._rejects.count(source, reason, count)


def _line(event: Event) -> bytes | str:
    """As `events import` takes it again; half a surrogate pair has no such form."""
    try:
        return json_line(event)
    except ValueError:
        return repr(event)


def _impossible(batch: EventBatch, now: float, bounds: Bounds) -> Sequence[tuple[str, Bad]]:
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
            ("bad_kind", ~IS_KIND[batch.kind]),
            ("bad_address", _by_text(batch.address, _is_bad_address)),
            ("bad_source", _by_text(batch.source, _is_bad_source)),
            ("long_text", _any(_by_text(getattr(batch, name), _is_long) for name in _TEXTS)),
        )


def _is_bad_address(texts: Texts) -> Bad:
    return ~are_addresses(texts) & (texts.lengths > 0)


def _is_bad_source(texts: Texts) -> Bad:
    bad = _are_longer(texts, _MAX_SOURCE)
    bad[texts.lengths == 0] = True
    return bad


def _is_long(texts: Texts) -> Bad:
    return _are_longer(texts, MAX_TEXT)


def _are_longer(texts: Texts, characters: int) -> Bad:
    """A text that has no more bytes than that has no more characters."""
    long: Bad = texts.lengths > characters
    for place in np.flatnonzero(long).tolist():
        long[place] = len(texts[place]) > characters
    return long


def _by_text(words: Words, are_bad: Callable[[Texts], Bad]) -> Bad:
    """Rows whose text is bad, judged once for each distinct text."""
    bad = are_bad(words.values)
    return bad[words.codes] if bad.any() else np.zeros(len(words.codes), np.bool_)


def _any(masks: Iterable[Bad]) -> Bad:
    result: Bad = np.logical_or.reduce(list(masks))
    return result
