"""Trains a model: learns from one part of the traffic, chooses by a second, and is told how it does by a third."""

from __future__ import annotations

import hashlib

import numpy as np
import xgboost
from numpy.typing import NDArray

from detectors.models import calibration
from detectors.models.card import Calibration, Card, Evaluation, Lineage, Reliability
from detectors.models.evaluation import Samples, evaluate, peaks
from detectors.models.model import Model, margins, raw, warm
from detectors.models.name_training import train_names_of
from detectors.models.progress import Progress, quiet
from detectors.models.refused import DataRefused
from detectors.models.tasks import TASKS, SubjectTask, Task
from detectors.models.traffic import HELD_OUT, Parts, simulated_part

_PARAMETERS: dict[str, float | int | str] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "eta": 0.25,
    "max_bin": 128,
    "min_child_weight": 10,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "nthread": 1,  # the order of sums, and with it the model, depends on it; and two would wait for one another
}
_ROUNDS = 48
_ROWS = 400_000  # of each class
_LEAST = 0.8  # threshold, at least


def train(task: Task, seed: int, parts: Parts, progress: Progress | None = None) -> Model:
    """A model of a task. Same seed, same traffic and same libraries: the same model, to the byte.

    Raises DataRefused where there is too little of either class to learn from.
    """
    if isinstance(task, SubjectTask):
        return _of_subjects(task, seed, parts, progress or quiet)
    return train_names_of(task, seed, parts, progress or quiet)


def _of_subjects(task: SubjectTask, seed: int, parts: Parts, tell: Progress) -> Model:
    name = task.schema.name
    tell(f"{name}: watching traffic", 0.0)
    watched, learnt_from = parts.training.watched(task.watch, "training")
    tell(f"{name}: learning", 0.35)
    booster, rows = _learnt(task, seed, watched)
    tell(f"{name}: calibrating", 0.4)
    validation, chosen_by = parts.validation.watched(task.watch, "validation")
    scale = calibration.fit(*_clear(task, booster, validation))
    limit = calibration.threshold(peaks(booster, scale, validation), task.accused, _LEAST)
    tell(f"{name}: testing", 0.7)
    test, tested_by = parts.test.watched(task.watch, "test")
    judged = evaluate(booster, scale, limit, validation)
    card = Card(
        schema=task.schema,
        sha256=hashlib.sha256(raw(booster)).hexdigest(),
        threshold=limit,
        threshold_choice=_choice(task, judged),
        calibration=scale,
        reliability=_reliability(task, booster, scale, test),
        lineage=Lineage(
            seed=seed,
            simulator=parts.simulator,
            libraries={"numpy": np.__version__, "xgboost": xgboost.__version__},
            parameters=_PARAMETERS | {"max_depth": task.depth, "num_boost_round": _ROUNDS},
            rows=rows,
            traffic=(learnt_from, chosen_by, tested_by),
            files=parts.training.files,
        ),
        validation=judged,
        test=evaluate(booster, scale, limit, test),
        intended_use=task.intended_use,
        limits=task.limits,
    )
    return Model(booster, card.sealed())


def held_out(model: Model, seed: int) -> Evaluation:
    """How a model does on simulated traffic that no model is trained on, whatever its seed."""
    task = TASKS[model.card.schema.name]
    watched, _ = simulated_part(task, seed, HELD_OUT).watched(task.watch, "test")
    return watched.judged(model)


def _learnt(task: SubjectTask, seed: int, samples: Samples) -> tuple[xgboost.Booster, int]:
    """An ensemble, and the number of rows that it was learnt from."""
    rows = _balanced(task, task.thinned(samples), np.random.default_rng(seed))
    hostile = rows.hostile > 0
    if hostile.all() or not hostile.any():
        which = "hostile" if not hostile.any() else "honest"
        raise DataRefused(f"{task.schema.name}: no {which} subject with enough events to learn from")
    matrix = xgboost.QuantileDMatrix(rows.matrix, hostile, max_bin=int(_PARAMETERS["max_bin"]), nthread=1)
    booster = xgboost.train({**_PARAMETERS, "max_depth": task.depth, "seed": seed}, matrix, _ROUNDS)
    return warm(booster, len(task.schema.features), "cpu"), len(rows)


def _clear(
    task: SubjectTask, booster: xgboost.Booster, samples: Samples
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Margins and labels, without the rows of subjects that have only begun to be hostile."""
    samples = task.thinned(samples)
    clear = samples.take((samples.hostile == 0) | _ripe(task, samples))
    return margins(booster, clear.matrix), clear.hostile > 0


def _reliability(task: SubjectTask, booster: xgboost.Booster, scale: Calibration, samples: Samples) -> Reliability:
    values, hostile = _clear(task, booster, samples)
    return calibration.reliability(calibration.probability(scale, values), hostile)


def _choice(task: SubjectTask, judged: Evaluation) -> str:
    return (
        f"the lowest from {_LEAST} up that at most {task.accused:.2%} of the {judged.honest} honest subjects of the "
        "validation traffic ever reach, and a tenth of the way from there to 1; the test traffic had no say"
    )


def _ripe(task: SubjectTask, samples: Samples) -> NDArray[np.bool_]:
    """Which rows are of subjects that did enough to be called hostile; with less, a row is left out."""
    known, anonymous = task.enough
    if "is_anonymous" not in task.schema.features:
        return samples.hostile >= known
    nobody = samples.matrix[:, task.schema.features.index("is_anonymous")] > 0
    return samples.hostile >= np.where(nobody, anonymous, known)


def _balanced(task: SubjectTask, samples: Samples, rng: np.random.Generator) -> Samples:
    """At most _ROWS of each class, each class chosen at random."""
    chosen = []
    for rows in (np.flatnonzero(samples.hostile == 0), np.flatnonzero(_ripe(task, samples))):
        chosen.append(rng.choice(rows, min(len(rows), _ROWS), replace=False))
    return samples.take(np.sort(np.concatenate(chosen)))
