"""Names made by algorithms, by folds that share no family: a fold's names are new to who judges them.

Ours learns from the other folds and from simulated families; `dga_simulated` is the model that ships, which learnt no
name of the sample. The peer is XGBoost as it comes over what such work starts from: length, digits, vowels, entropy.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xgboost
from numpy.typing import NDArray

from bench.detecting.scores import SHARED, Figures, Numbers, auc, calling, ranking
from detectors.features import labels, shape
from detectors.models import TASKS, NameModel, learn_names, margins, simulated, train
from detectors.simulator import NamesOf, simulated_names

SAMPLE = SHARED / "dga" / "dga-vs-alexa-sample.csv"
FOLDS = 5
PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class Sample:
    """Names, each with its family; PEOPLE for those that people chose."""

    names: NDArray[np.str_]
    family: NDArray[np.str_]

    @property
    def made(self) -> NDArray[np.bool_]:
        """Which names an algorithm made."""
        made: NDArray[np.bool_] = self.family != PEOPLE
        return made

    def origins(self, rows: NDArray[np.bool_]) -> list[NamesOf]:
        """Some of the names, by family."""
        return [
            NamesOf(family, tuple(self.names[rows & (self.family == family)].tolist()), family != PEOPLE)
            for family in np.unique(self.family[rows]).tolist()
        ]


def read() -> Sample:
    """The sample."""
    with SAMPLE.open(newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 3]
    return Sample(np.array([row[2] for row in rows]), np.array([row[1] if row[0] == "dga" else PEOPLE for row in rows]))


def measure(seed: int, sample: Sample) -> Figures:
    """Every name is scored once, by a model that knows neither it nor its family."""
    fold = _folds(sample, np.random.default_rng((seed, 23)))
    began = time.perf_counter()
    scores = _ours(seed, sample, fold)
    found = ranking("dga", scores, sample.made) | {"dga_train_and_score_seconds": time.perf_counter() - began}
    found |= _by_family(scores, sample)
    model = NameModel.of(train(TASKS["name"], seed, simulated(TASKS["name"], seed)))
    began = time.perf_counter()
    shipped = _scores(model, sample.names.tolist())
    found["dga_scored_per_s"] = len(shipped) / (time.perf_counter() - began)
    found |= ranking("dga_simulated", shipped, sample.made)
    found |= calling("dga_simulated", model.chance(sample.names.tolist()) >= model.strange, sample.made)
    return found | ranking("plain_dga", _plain(seed, sample, fold), sample.made)


def _folds(sample: Sample, rng: np.random.Generator) -> NDArray[np.int64]:
    """A fold for each name: a family's whole, what people chose at random."""
    families, place = np.unique(sample.family, return_inverse=True)
    fold = rng.permutation(len(families)) % FOLDS
    return np.where(sample.made, fold[place], rng.integers(0, FOLDS, len(sample.family)))


def _ours(seed: int, sample: Sample, fold: NDArray[np.int64]) -> Numbers:
    families = [origin for origin in simulated_names(seed) if origin.made]
    checked = simulated_names(seed + 1000)
    scores = np.empty(len(fold))
    for number in range(FOLDS):
        asked = fold == number
        model = learn_names([*sample.origins(~asked), *families], checked, checked, seed)
        scores[asked] = _scores(model, sample.names[asked].tolist())
    return scores


def _scores(model: NameModel, names: Sequence[str]) -> Numbers:
    """Margins: a probability this near to 0 or 1 would no longer tell names apart."""
    return margins(model.model.booster, model.languages.matrix(labels(names)))


def _plain(seed: int, sample: Sample, fold: NDArray[np.int64]) -> Numbers:
    matrix = shape(labels(sample.names.tolist()))
    scores = np.empty(len(fold))
    for number in range(FOLDS):
        asked = fold == number
        rows = xgboost.DMatrix(matrix[~asked], sample.made[~asked], nthread=1)
        booster = xgboost.train(
            {"objective": "binary:logistic", "seed": seed, "subsample": 0.9, "nthread": 1}, rows, 100
        )
        scores[asked] = margins(booster, matrix[asked])
    return scores


def _by_family(scores: Numbers, sample: Sample) -> Figures:
    """Each family against all that people chose."""
    found = {}
    for family in np.unique(sample.family[sample.made]).tolist():
        rows = ~sample.made | (sample.family == family)
        found[f"dga_auc_{family}"] = auc(scores[rows], sample.made[rows])
    return found
