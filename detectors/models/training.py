"""Models from simulated traffic: one part to learn from, one to calibrate and choose the threshold, one to test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import structlog
import xgboost
from numpy.typing import NDArray

from detectors.features import AccessFeatures, FlowFeatures
from detectors.features import access as access_features
from detectors.features import flow as flow_features
from detectors.models import calibration
from detectors.models.card import Calibration, Card, Evaluation, Lineage, Schema
from detectors.models.evaluation import Samples, evaluate, peaks, watch
from detectors.models.model import Model, ModelRefused, load, margins, raw, warm
from detectors.simulator import VERSION, access_traffic, flow_traffic

ACCESS = Schema("access", 2, access_features.NAMES)
FLOW = Schema("flow", 2, flow_features.NAMES)
Progress = Callable[[str, float], None]  # what is being done, and how much of all is done, 0 to 1

_PARAMETERS: dict[str, float | int | str] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 5,
    "eta": 0.15,
    "max_bin": 128,
    "min_child_weight": 10,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "nthread": 1,  # the order of sums, and with it the model, depends on it; and two would wait for one another
}
_ROUNDS = 80
# Hostile events after which a subject is called hostile; with fewer it is left out. An honest client whose session
# has run out may collect twenty times 401 before it logs in again, so that an address needs more than an actor.
_ENOUGH, _ENOUGH_ANONYMOUS = 6, 30
_ROWS = 60_000  # of each class
_ACCUSED = 0.001  # share of honest subjects that the threshold may cost on validation traffic
_LEAST = 0.8  # threshold, at least

_log = structlog.get_logger()


def train_access(seed: int, progress: Progress | None = None) -> Model:
    """A model of requests. Same seed and same xgboost, same model."""
    parts = [_part("access", seed, number) for number in range(3)]
    return _train(ACCESS, seed, parts, progress or _quiet)


def train_flow(seed: int, progress: Progress | None = None) -> Model:
    """A model of flows."""
    parts = [_part("flow", seed, number) for number in range(3)]
    return _train(FLOW, seed, parts, progress or _quiet)


def train_all(folder: Path, seed: int = 1, progress: Progress | None = None) -> dict[str, Model]:
    """Every model, by name, in a folder each. One that is there, intact, of this schema and seed, is kept."""
    tell = progress or _quiet
    models = {}
    for place, (schema, train) in enumerate(((ACCESS, train_access), (FLOW, train_flow))):
        room = folder / schema.name
        models[schema.name] = _kept(room, schema, seed) or _trained(room, train, seed, _within(tell, place))
        tell(f"{schema.name}: ready", (place + 1) / 2)
    return models


def held_out(model: Model, seed: int) -> Evaluation:
    """How a model does on traffic of a seed that it was not trained on."""
    card = model.card
    return evaluate(model.booster, card.calibration, card.threshold, _part(card.schema.name, seed, 3)())


def _part(name: str, seed: int, number: int) -> Callable[[], Samples]:
    """Traffic of its own for each part, as samples; parts 0 to 2 are training's, 3 is for tests."""

    def samples() -> Samples:
        traffic_seed = seed * 10 + number
        if name == "access":
            return watch(AccessFeatures(), access_traffic(traffic_seed, seconds=600.0, step=0.5))
        return watch(FlowFeatures(), flow_traffic(traffic_seed, seconds=600.0, step=1.0))

    return samples


def _train(schema: Schema, seed: int, parts: list[Callable[[], Samples]], tell: Progress) -> Model:
    tell(f"{schema.name}: simulating traffic", 0.0)
    training = _balanced(parts[0](), np.random.default_rng(seed))
    tell(f"{schema.name}: learning", 0.35)
    rows = xgboost.QuantileDMatrix(
        training.matrix, training.hostile > 0, max_bin=int(_PARAMETERS["max_bin"]), nthread=1
    )
    booster = xgboost.train({**_PARAMETERS, "seed": seed}, rows, _ROUNDS)
    sha256 = hashlib.sha256(raw(booster)).hexdigest()
    booster = warm(booster, len(schema.features), "cpu")
    tell(f"{schema.name}: calibrating", 0.4)
    lineage = Lineage(
        seed=seed, simulator=VERSION, xgboost=xgboost.__version__, parameters=_PARAMETERS, rows=len(training)
    )
    validation = parts[1]()
    scale = _calibrated(booster, validation)
    limit = calibration.threshold(peaks(booster, scale, validation), _ACCUSED, _LEAST)
    tell(f"{schema.name}: testing", 0.7)
    card = Card(
        schema=schema,
        sha256=sha256,
        threshold=limit,
        calibration=scale,
        lineage=lineage,
        validation=evaluate(booster, scale, limit, validation),
        test=evaluate(booster, scale, limit, parts[2]()),
    )
    return Model(booster, msgspec.structs.replace(card, revision=card.seal()))


def _calibrated(booster: xgboost.Booster, samples: Samples) -> Calibration:
    clear = samples.take((samples.hostile == 0) | _ripe(samples))
    return calibration.fit(margins(booster, clear.matrix), clear.hostile > 0)


def _ripe(samples: Samples) -> NDArray[np.bool_]:
    """Which rows are of subjects that did enough to be called hostile."""
    if samples.matrix.shape[1] != len(ACCESS.features):
        return samples.hostile >= _ENOUGH
    anonymous = samples.matrix[:, ACCESS.features.index("is_anonymous")] > 0
    return samples.hostile >= np.where(anonymous, _ENOUGH_ANONYMOUS, _ENOUGH)


def _balanced(samples: Samples, rng: np.random.Generator) -> Samples:
    """At most _ROWS of each class, each class chosen at random."""
    chosen = []
    for rows in (np.flatnonzero(samples.hostile == 0), np.flatnonzero(_ripe(samples))):
        chosen.append(rng.choice(rows, min(len(rows), _ROWS), replace=False))
    return samples.take(np.sort(np.concatenate(chosen)))


def _kept(folder: Path, schema: Schema, seed: int) -> Model | None:
    try:
        model = load(folder, schema)
    except ModelRefused as refused:
        _log.info("model_to_train", why=str(refused))
        return None
    lineage = model.card.lineage
    return model if (lineage.seed, lineage.simulator) == (seed, VERSION) else None


def _trained(folder: Path, train: Callable[[int, Progress], Model], seed: int, tell: Progress) -> Model:
    model = train(seed, tell)
    model.save(folder)
    return model


def _within(tell: Progress, place: int) -> Progress:
    return lambda what, share: tell(what, (place + share) / 2)


def _quiet(what: str, share: float) -> None:
    pass
