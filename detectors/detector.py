"""The one interface of every detector: columns in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.features import Key
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind


@dataclass(frozen=True, slots=True)
class Scores:
    """One score for each subject that a batch touched, higher is more hostile; and where in the batch it was last."""

    keys: tuple[Key, ...]
    values: NDArray[np.float64]  # [keys], 0 to 1
    rows: NDArray[np.int64]  # [keys] each one's last row in the batch that was scored

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, places: Sequence[int]) -> Scores:
        """Some of the subjects."""
        return Scores(tuple(self.keys[place] for place in places), self.values[list(places)], self.rows[list(places)])


class Detector(Protocol):
    """A streaming model over columns. Only `learn` changes it; a batch is learnt before it is scored."""

    name: str
    kind: Kind  # the events it reads; it is given no others
    threshold: float  # the score from which a subject is called hostile
    capacity: int  # the most rows that it takes at once

    def learn(self, batch: EventBatch) -> None:
        """Take in what happened."""
        ...

    def score(self, batch: EventBatch) -> Scores:
        """Judge the subjects of a batch by all that was learnt so far. Changes nothing."""
        ...

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts, with reasons, of subjects that were scored on this batch. Changes nothing."""
        ...


def last_rows(of_row: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The last row of each of `count` groups."""
    rows = np.zeros(count, np.int64)
    rows[of_row] = np.arange(len(of_row))  # of equal places the last one stays
    return rows


NO_SCORES = Scores((), np.empty(0), np.empty(0, np.int64))
