"""Rows in groups of neighbours: k-means (Lloyd 1982), in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from detectors.models.columns import Matrix

_ROUNDS = 12


def clusters(rows: Matrix, count: int, rng: Generator) -> NDArray[np.int64]:
    """[rows] number of each row's cluster, below `count`; some clusters may stay empty."""
    centres = rows[rng.choice(len(rows), min(count, len(rows)), replace=False)]
    for _ in range(_ROUNDS):
        nearest = _nearest(rows, centres)
        centres = np.stack([_middle(rows[nearest == place], centre) for place, centre in enumerate(centres)])
    return _nearest(rows, centres)


def _nearest(rows: Matrix, centres: Matrix) -> NDArray[np.int64]:
    distances: Matrix = (centres**2).sum(1) - 2 * rows @ centres.T
    nearest: NDArray[np.int64] = distances.argmin(axis=1)
    return nearest


def _middle(rows: Matrix, centre: Matrix) -> Matrix:
    middle: Matrix = rows.mean(axis=0) if len(rows) else centre
    return middle
