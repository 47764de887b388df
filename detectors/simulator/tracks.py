"""Tracks, and how they become batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from telemetry import EventBatch, Kind, Words

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A batch and the truth: which rows are an attacker's."""

    batch: EventBatch
    hostile: Mask


@dataclass(frozen=True, slots=True)
class Track:
    """What one subject does, n rows in any order. Texts that vary by row are codes into a table of their own."""

    times: Numbers
    hostile: Mask
    kind: Kind = Kind.REQUEST
    source: str = "edge"
    subject: str = ""
    actor: str = ""
    session: str = ""
    address: str = ""
    service: str = ""
    resource: Sequence[str] = ()  # texts, one a row, as the three below; none means empty
    action: Sequence[str] = ()
    outcome: Sequence[str] = ()
    peer: Sequence[str] = ()
    numbers: dict[str, NDArray[np.generic]] = field(default_factory=dict)  # status, port, bytes_in, …: [n]


_TEXTS = ("resource", "action", "outcome", "peer")
_CONSTANT = ("source", "subject", "actor", "session", "address", "service")
_TYPES: dict[str, type[np.generic]] = {
    "status": np.int16,
    "port": np.int32,
    "severity": np.uint8,
    "bytes_in": np.int64,
    "bytes_out": np.int64,
    "duration": np.float64,
}


def play(tracks: Sequence[Track], step: float) -> Iterator[Labelled]:
    """All tracks in the order of time, cut into batches of `step` seconds; empty steps are left out."""
    times = np.concatenate([track.times for track in tracks])
    order = np.argsort(times, kind="stable")
    whole = _whole(tracks, times).take(order)
    hostile = np.concatenate([track.hostile for track in tracks])[order]
    ticks = np.floor((whole.time - whole.time[0]) / step)
    cuts = np.flatnonzero(np.diff(ticks)) + 1
    for rows in np.split(np.arange(len(times)), cuts):
        yield Labelled(_compact(whole.take(slice(rows[0], rows[-1] + 1))), hostile[rows])


def _whole(tracks: Sequence[Track], times: Numbers) -> EventBatch:
    counts = [len(track.times) for track in tracks]
    columns: dict[str, object] = {"time": times, "name": Words(np.zeros(len(times), np.int32), ("",))}
    columns["kind"] = np.repeat([np.uint8(track.kind) for track in tracks], counts)
    for name in _CONSTANT:
        words = Words.of(getattr(track, name) for track in tracks)
        columns[name] = Words(np.repeat(words.codes, counts), words.values)
    for name in _TEXTS:
        texts = (getattr(track, name) or ("",) * count for track, count in zip(tracks, counts, strict=True))
        columns[name] = Words.of(text for some in texts for text in some)
    for name, kind in _TYPES.items():
        parts = [track.numbers.get(name, np.zeros(count)) for track, count in zip(tracks, counts, strict=True)]
        columns[name] = np.concatenate(parts).astype(kind)
    return EventBatch(**columns)  # type: ignore[arg-type]


def _compact(batch: EventBatch) -> EventBatch:
    """Text tables with only what the rows point to, as a source would have made them."""
    columns = {}
    for name in EventBatch.__slots__:
        column = getattr(batch, name)
        if isinstance(column, Words):
            used, codes = np.unique(column.codes, return_inverse=True)
            column = Words(codes.astype(np.int32), tuple(column.values[code] for code in used))
        columns[name] = column
    return EventBatch(**columns)
