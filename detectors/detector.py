"""The one interface of every detector: columns in, scores out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.models.model import Model
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind

Mask = NDArray[np.bool_]
State = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Scores:
    """One score for each subject that a batch touched and that is due; and the row where it was last."""

    hashes: NDArray[np.uint64]  # [subjects] who they are
    values: NDArray[np.float64]  # [subjects] 0 to 1, higher is more hostile
    rows: NDArray[np.int64]  # [subjects] each one's last row in the batch that was scored

    def __len__(self) -> int:
        return len(self.hashes)

    def take(self, places: NDArray[np.int64]) -> Scores:
        """Some of the subjects."""
        return Scores(self.hashes[places], self.values[places], self.rows[places])

    def __add__(self, other: Scores) -> Scores:
        """These and others, of the same batch."""
        pairs = zip(*((one.hashes, one.values, one.rows) for one in (self, other)), strict=True)
        return Scores(*map(np.concatenate, pairs))


class Detector(Protocol):
    """A streaming model over columns. Only `learn` changes it; a batch is learnt before it is scored."""

    name: str
    kind: Kind  # of the events that it reads
    threshold: float  # the score from which a subject is called hostile
    capacity: int  # the most rows that it takes at once

    def mine(self, batch: EventBatch) -> Mask:
        """Which rows of a batch it reads; it is given no others, and those in the order of time."""
        ...

    def learn(self, batch: EventBatch) -> None:
        """Take in what happened."""
        ...

    def score(self, batch: EventBatch) -> Scores:
        """Judge the subjects of a batch by all that was learnt so far. Changes nothing."""
        ...

    def state(self) -> State:
        """All that was learnt, as arrays in main memory."""
        ...

    def restore(self, state: State) -> None:
        """Know what another one of the same kind knew; its capacity may differ."""
        ...

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts, with reasons, of subjects that were scored on this batch. Changes nothing."""
        ...


class Learnt(Detector, Protocol):
    """A detector that judges by a model, which may be replaced between two batches."""

    def adopt(self, model: Model) -> None:
        """Judge by this model from here on."""
        ...


def of_kind(batch: EventBatch, kind: Kind) -> Mask:
    """The rows of one kind."""
    return np.equal(batch.kind, kind)


NO_SCORES = Scores(np.empty(0, np.uint64), np.empty(0), np.empty(0, np.int64))
