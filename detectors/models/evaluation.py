"""What a model sees of labelled traffic, and how well it tells friend from foe there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xgboost
from numpy.typing import NDArray

from detectors.features import Groups, nameless
from detectors.models.calibration import probability
from detectors.models.card import Calibration, Evaluation
from detectors.models.model import Model, margins
from detectors.simulator import Labelled
from telemetry import EventBatch


class Features(Protocol):
    """What training needs of features."""

    def learn(self, batch: EventBatch) -> None:
        """Take in a batch."""
        ...

    def of(self, batch: EventBatch) -> tuple[Groups, NDArray[np.float32]]:
        """The subjects of a batch, and their features, [subjects, features]."""
        ...


class Watched(Protocol):
    """Labelled traffic as the models of one task are judged by it."""

    def judged(self, model: Model) -> Evaluation:
        """How a model does there, by its own calibration and threshold."""
        ...


@dataclass(frozen=True, slots=True)
class Samples:
    """One row for each subject that a batch touched, in the order of time."""

    matrix: NDArray[np.float32]  # [rows, features]
    subject: NDArray[np.int64]  # [rows] a number for each subject
    hostile: NDArray[np.int64]  # [rows] hostile events of that subject so far
    time: NDArray[np.float64]  # [rows] of the batch's last event
    began: NDArray[np.float64]  # [subjects] first hostile event, infinite for the honest

    def __len__(self) -> int:
        return len(self.subject)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Samples:
        """Some of the rows; subjects keep their numbers."""
        return Samples(self.matrix[rows], self.subject[rows], self.hostile[rows], self.time[rows], self.began)

    def judged(self, model: Model) -> Evaluation:
        """See `Watched`."""
        return evaluate(model.booster, model.card.calibration, model.card.threshold, self)


def watch(features: Features, traffic: Iterable[Labelled]) -> Samples:
    """Drive features through traffic, and note what they say after every batch."""
    numbers: dict[int, int] = {}  # by the subject's hash
    counts, began = np.zeros(0, np.int64), np.zeros(0)
    rows: list[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], float]] = []
    for labelled in traffic:
        known = ~nameless(labelled.batch)
        if not known.any():
            continue
        batch, bad = labelled.batch.take(known), labelled.hostile[known]
        features.learn(batch)
        groups, matrix = features.of(batch)
        subject = np.array([numbers.setdefault(key, len(numbers)) for key in groups.hashes.tolist()], np.int64)
        counts = np.concatenate([counts, np.zeros(len(numbers) - len(counts), np.int64)])
        began = np.concatenate([began, np.full(len(numbers) - len(began), np.inf)])
        np.minimum.at(began, subject[groups.of_row[bad]], batch.time[bad])
        counts[subject] += np.bincount(groups.of_row, bad, len(subject)).astype(np.int64)
        rows.append((matrix, subject, counts[subject], float(batch.time[-1])))
    time = np.repeat([row[3] for row in rows], [len(row[1]) for row in rows])
    matrix, subject, hostile = (np.concatenate(column) for column in list(zip(*rows, strict=True))[:3])
    return Samples(matrix, subject, hostile, time, began)


def peaks(booster: xgboost.Booster, scale: Calibration, samples: Samples) -> NDArray[np.float64]:
    """The highest score that each subject reached while it was honest."""
    honest = samples.hostile == 0
    highest = np.zeros(len(samples.began))
    np.maximum.at(highest, samples.subject[honest], probability(scale, margins(booster, samples.matrix[honest])))
    return highest


def evaluate(booster: xgboost.Booster, scale: Calibration, threshold: float, samples: Samples) -> Evaluation:
    """How an ensemble does, its scores being rows' probabilities."""
    return tally(probability(scale, margins(booster, samples.matrix)) >= threshold, samples)


def tally(flagged: NDArray[np.bool_], samples: Samples) -> Evaluation:
    """Count, by subject. An attacker that is called hostile before it attacks is an honest one accused."""
    attacker = np.isfinite(samples.began)
    accused = np.zeros(len(attacker), np.bool_)
    accused[samples.subject[flagged & (samples.hostile == 0)]] = True
    hits = np.flatnonzero(flagged & (samples.hostile > 0))
    caught, first = np.unique(samples.subject[hits], return_index=True)
    events = samples.hostile[hits[first]].astype(float)
    seconds = np.maximum(samples.time[hits[first]] - samples.began[caught], 0.0)
    return Evaluation(
        attackers=int(attacker.sum()),
        caught=len(caught),
        honest=len(attacker),
        accused=int(accused.sum()),
        events_until_caught=_quantile(events, 0.5),
        events_until_caught_p95=_quantile(events, 0.95),
        seconds_until_caught=_quantile(seconds, 0.5),
        seconds_until_caught_p95=_quantile(seconds, 0.95),
    )


def _quantile(values: NDArray[np.float64], share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None
