"""How unlike anything normal a row is: the error of an autoencoder that learnt normal rows alone.

It squeezes a row through a few numbers and restores it; what it never saw it restores badly (Hawkins et al., "Outlier
Detection Using Replicator Neural Networks", 2002). Inputs are blotted out at random while it learns, so that it must
use how columns hang together (Vincent et al., 2008). NumPy alone; same seed, same weights on one machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from detectors.models.columns import Matrix

_HIDDEN = (64, 16, 64)
_EPOCHS, _ROWS = 15, 256  # passes over the rows, and rows of a step
_BLOTTED = 0.1  # share of the inputs
_RATE, _DECAY, _SLOW_DECAY = 2e-3, 0.9, 0.999  # of Adam (Kingma 2015)
_LEAST_SPREAD = 0.05  # a column that never varies would count without bound
_MOST = 5.0  # spreads by which a value may lie off
Weights = list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Novelty:
    """Learnt from normal rows; scoring never changes it."""

    middle: NDArray[np.float32]  # [features]
    spread: NDArray[np.float32]
    weights: Sequence[NDArray[np.float32]]  # of each layer [in, out]
    biases: Sequence[NDArray[np.float32]]

    def score(self, rows: Matrix) -> NDArray[np.float64]:
        """ln of each row's mean squared error."""
        inputs = _standard(rows, self.middle, self.spread)
        error: NDArray[np.float32] = ((_layers(inputs, self.weights, self.biases)[-1] - inputs) ** 2).mean(1)
        return np.log(error.astype(np.float64) + 1e-6)


def learn_novelty(rows: Matrix, rng: Generator) -> Novelty:
    """Learn normal rows [rows, features]; at least one."""
    middle, spread = rows.mean(0), rows.std(0) + np.float32(_LEAST_SPREAD)
    inputs = _standard(rows, middle, spread)
    sizes = (inputs.shape[1], *_HIDDEN, inputs.shape[1])
    weights = [(rng.standard_normal(size) * np.sqrt(2 / size[0])).astype(np.float32) for size in pairwise(sizes)]
    biases = [np.zeros(size, np.float32) for size in sizes[1:]]
    _descend(inputs, weights, biases, rng)
    return Novelty(middle, spread, weights, biases)


def _standard(rows: Matrix, middle: NDArray[np.float32], spread: NDArray[np.float32]) -> Matrix:
    standard: Matrix = np.clip((rows - middle) / spread, -_MOST, _MOST).astype(np.float32)
    return standard


def _layers(inputs: Matrix, weights: Sequence[Matrix], biases: Sequence[Matrix]) -> list[Matrix]:
    """What each layer gives, the inputs first; tanh in all but the last."""
    given = [inputs]
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        sums = given[-1] @ weight + bias
        given.append(np.tanh(sums) if place + 1 < len(weights) else sums)
    return given


def _descend(inputs: Matrix, weights: Weights, biases: Weights, rng: Generator) -> None:
    """Adam's steps, in place."""
    parameters = weights + biases
    mean, square = ([np.zeros_like(one) for one in parameters] for _ in range(2))
    for step, rows in enumerate(_steps(len(inputs), rng), 1):
        slopes = _slopes(inputs[rows], weights, biases, rng)
        for parameter, first, second, slope in zip(parameters, mean, square, slopes, strict=True):
            first += (1 - _DECAY) * (slope - first)
            second += (1 - _SLOW_DECAY) * (slope * slope - second)
            size = np.sqrt(second / (1 - _SLOW_DECAY**step)) + 1e-8
            parameter -= _RATE * (first / (1 - _DECAY**step)) / size


def _steps(count: int, rng: Generator) -> Iterator[NDArray[np.int64]]:
    for _ in range(_EPOCHS):
        order = rng.permutation(count)
        for start in range(0, max(count - _ROWS, 0) + 1, _ROWS):
            yield order[start : start + _ROWS]


def _slopes(rows: Matrix, weights: Weights, biases: Weights, rng: Generator) -> Weights:
    """How the mean squared error changes with each weight, then with each bias (Rumelhart 1986)."""
    blotted = rows * (rng.random(rows.shape, np.float32) > _BLOTTED)
    given = _layers(blotted, weights, biases)
    slope = 2 * (given[-1] - rows) / np.float32(len(rows))
    found: list[tuple[Matrix, Matrix]] = []
    for place in reversed(range(len(weights))):
        found.append((given[place].T @ slope, slope.sum(0)))
        if place:
            slope = (slope @ weights[place].T) * (1 - given[place] ** 2)
    return [weight for weight, _ in reversed(found)] + [bias for _, bias in reversed(found)]
