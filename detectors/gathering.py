"""What arrived together as detectors read it best: a kind at a time, in the order of time, neither too small nor too
large.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from telemetry import EventBatch, concatenate

_JOINED = 8192  # events up to which batches are joined: joining costs more than what it saves after that


def gathered(batches: Sequence[EventBatch], rows: int) -> list[EventBatch]:
    """The same events, in batches of at most `rows`. Detectors read one kind each: between kinds no order counts."""
    by_kind: defaultdict[int, list[EventBatch]] = defaultdict(list)
    for batch in batches:
        for kind, part in _by_kind(batch):
            by_kind[kind].append(part)
    return [part for some in by_kind.values() for batch in _joined(some) for part in _parts(_in_order(batch), rows)]


def _by_kind(batch: EventBatch) -> Iterator[tuple[int, EventBatch]]:
    """Once for all detectors."""
    counts = np.bincount(batch.kind)
    for kind in np.flatnonzero(counts).tolist():
        yield kind, batch if counts[kind] == len(batch) else batch.take(np.flatnonzero(batch.kind == kind))


def _joined(batches: Sequence[EventBatch]) -> Iterator[EventBatch]:
    """Small batches that follow each other as one, for each costs about a millisecond."""
    some: list[EventBatch] = []
    for batch in batches:
        if some and sum(map(len, some)) + len(batch) > _JOINED:
            yield concatenate(some, merge=False)
            some = []
        some.append(batch)
    yield concatenate(some, merge=False)


def _in_order(batch: EventBatch) -> EventBatch:
    """By time; what came at the same time stays as it came."""
    if (batch.time[1:] >= batch.time[:-1]).all():
        return batch
    return batch.take(np.argsort(batch.time, kind="stable"))


def _parts(batch: EventBatch, rows: int) -> Iterator[EventBatch]:
    if len(batch) <= rows:
        yield batch
        return
    for start in range(0, len(batch), rows):
        yield batch.take(np.arange(start, min(start + rows, len(batch))))
