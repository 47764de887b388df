"""What detectors have in common that judge each subject by a model over its features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Array, Arrays
from detectors.detector import NO_SCORES, Scores, State
from detectors.evidence import Evidence
from detectors.features.due import News
from detectors.models import Model
from detectors.verdict import Verdict
from telemetry import EventBatch


class Features(Protocol):
    """What is known of subjects."""

    def learn(self, batch: EventBatch) -> None:
        """Take in events, in the order of time."""
        ...

    def news(self, batch: EventBatch) -> News:
        """The subjects of a batch that are to be judged."""
        ...

    def matrix(self, hashes: Array) -> Array:
        """[hashes, features] of subjects."""
        ...

    def since(self, hashes: Array) -> NDArray[np.float64]:
        """[hashes] Unix seconds from which on each one's present activity counts."""
        ...

    def state(self) -> dict[str, Any]:
        """All that is known."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        ...


class ByModel(ABC):
    """An XGBoost model, the features that it reads, and its reasons in words."""

    def __init__(self, model: Model, capacity: int, arrays: Arrays, features: Features, evidence: Evidence) -> None:
        self.capacity = capacity
        self._arrays = arrays
        self._features = features
        self._evidence = evidence
        self.adopt(model)

    def adopt(self, model: Model) -> None:
        """Judge by this model from here on; what is known of the subjects stays."""
        self._model = model
        self.threshold = model.card.threshold

    def learn(self, batch: EventBatch) -> None:
        """Take in events."""
        if len(batch):
            self._features.learn(batch)

    def score(self, batch: EventBatch) -> Scores:
        """Calibrated probability that each subject of the batch that is to be judged is hostile."""
        news = self._features.news(batch) if len(batch) else None
        if news is None or not len(news.hashes):
            return NO_SCORES
        host = self._arrays.host
        return Scores(host(news.hashes), self._model.score(news.matrix), host(news.rows))

    def state(self) -> State:
        """What is known of each subject."""
        return self._features.state()

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        self._features.restore(state)

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts with the model's reasons."""
        if not len(scores):
            return []
        hashes = self._arrays.xp.asarray(scores.hashes)
        matrix = self._arrays.host(self._features.matrix(hashes))
        parts = self._model.contributions(matrix)
        since = self._features.since(hashes).tolist()
        words = [self._evidence.words(*row) for row in zip(matrix, parts, strict=True)]
        return [
            self._verdict(scores, place, batch, now, matrix[place], words[place], since[place])
            for place in range(len(scores))
        ]

    @abstractmethod
    def _verdict(
        self,
        scores: Scores,
        place: int,
        batch: EventBatch,
        now: float,
        values: NDArray[np.float64],
        words: tuple[str, ...],
        since: float,
    ) -> Verdict:
        """On the subject at that place among the scores, whose features are `values`."""
