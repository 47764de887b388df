"""Trees that learnt the same table by different columns, and how far they agree.

Each of the bag's ensembles sees most of the columns (Ho, "The Random Subspace Method for Constructing Decision
Forests", 1998), by turns as numbers and as ranks, and a sample of the rows. An attack of a known kind is one to all of
them; a normal row that is strange in some way does so to some. The mean of margins does not tell the two apart, since
one ensemble that is very sure outweighs the others; the mean of probabilities does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xgboost
from numpy.typing import NDArray

from detectors.models.calibration import sigmoid
from detectors.models.columns import Matrix
from detectors.models.model import margins

_ENSEMBLES = 6  # a multiple of the views
_BLIND = 0.1  # share of the columns that each does not see, at most
_ROUNDS = 20
_PARAMETERS: dict[str, float | int | str] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 8,
    "eta": 0.3,
    "max_bin": 256,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "nthread": 1,  # the order of sums, and with it the model, depends on it
}
_LEAST = 1e-6  # a probability nearer to 0 or 1 is no surer
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bag:
    """Learnt from a labelled matrix; scoring never changes it."""

    ensembles: tuple[xgboost.Booster, ...]
    seen: tuple[NDArray[np.int64], ...]  # of each, the features that it reads

    def scores(self, views: Sequence[Matrix]) -> Numbers:
        """[rows, 2] ln odds of the mean of all probabilities, and the mean of all margins."""
        read = [views[place % len(views)][:, seen] for place, seen in enumerate(self.seen)]
        each = np.stack([margins(one, rows) for one, rows in zip(self.ensembles, read, strict=True)])
        chance = np.clip(sigmoid(each).mean(axis=0), _LEAST, 1 - _LEAST)
        return np.stack([np.log(chance / (1 - chance)), each.mean(axis=0)], axis=1)


def learn_bag(
    views: Sequence[Matrix], hostile: NDArray[np.bool_], weights: Numbers, column: Sequence[int], seed: int
) -> Bag:
    """Learn rows that are given in some views, each [rows, features]; the ensembles take the views in turn.

    `column` is the number of the column that each feature was made from.
    """
    rng = np.random.default_rng((seed, 29))
    seen = tuple(_some(np.asarray(column), rng) for _ in range(_ENSEMBLES))
    ensembles = (
        _ensemble(views[place % len(views)][:, own], hostile, weights, seed * 100 + place)
        for place, own in enumerate(seen)
    )
    return Bag(tuple(ensembles), seen)


def _some(column: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    count = int(column.max()) + 1
    chosen = rng.permutation(count)[int(count * _BLIND) :]
    return np.flatnonzero(np.isin(column, chosen))


def _ensemble(rows: Matrix, hostile: NDArray[np.bool_], weights: Numbers, seed: int) -> xgboost.Booster:
    table = xgboost.QuantileDMatrix(rows, hostile, weight=weights, max_bin=int(_PARAMETERS["max_bin"]), nthread=1)
    return xgboost.train({**_PARAMETERS, "seed": seed}, table, _ROUNDS)
