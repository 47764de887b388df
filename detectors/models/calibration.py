"""From an ensemble's margin to a probability one can believe, and from there to a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.models.card import Bin, Calibration, Reliability

Numbers = NDArray[np.float64]
_STEPS = 100
_BINS = 10
_HIGHEST = 0.9999  # threshold: nobody is ever surer
_ENOUGH = 1e-10  # change of the parameters at which Newton's method stops


def fit(margins: Numbers, hostile: NDArray[np.bool_]) -> Calibration:
    """Platt scaling with Platt's own smoothed targets, so that separable data do not make it certain (Platt 1999)."""
    positive, negative = int(hostile.sum()), int((~hostile).sum())
    targets = np.where(hostile, (positive + 1) / (positive + 2), 1 / (negative + 2))
    inputs = np.stack([margins, np.ones(len(margins))], axis=1)
    parameters = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        chance = sigmoid(inputs @ parameters)
        slope = inputs.T @ (chance - targets)
        curve = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + 1e-6 * np.eye(2)
        change = np.linalg.solve(curve, slope)
        parameters = parameters - change * min(1.0, 5.0 / max(np.abs(change).max(), 1e-12))
        if np.abs(change).max() < _ENOUGH:
            break
    return Calibration(float(parameters[0]), float(parameters[1]))


def probability(calibration: Calibration, margins: Numbers) -> Numbers:
    """Calibrated probability of each margin."""
    return sigmoid(calibration.slope * margins.astype(np.float64) + calibration.offset)


def reliability(chances: Numbers, hostile: NDArray[np.bool_]) -> Reliability:
    """How far chances, [rows] from 0 to 1, are from how often it happened, by tenths."""
    place = np.minimum((chances * _BINS).astype(np.int64), _BINS - 1)
    rows = np.bincount(place, minlength=_BINS)
    said, was = (np.bincount(place, column, _BINS) / np.maximum(rows, 1) for column in (chances, hostile))
    error = float(np.sum(rows * np.abs(said - was)) / max(1, len(chances)))
    bins = (Bin(int(rows[at]), float(said[at]), float(was[at])) for at in np.flatnonzero(rows).tolist())
    return Reliability(error, tuple(bins))


def threshold(peaks_of_honest: Numbers, accused: float, least: float) -> float:
    """The lowest score, `least` or more, that no more than a share `accused` of the honest ever reaches."""
    peaks = np.sort(peaks_of_honest)[::-1]
    allowed = int(len(peaks) * accused)
    highest = float(peaks[allowed]) if allowed < len(peaks) else 0.0
    return min(max(least, highest + (1.0 - highest) * 0.1), _HIGHEST)


def sigmoid(values: Numbers) -> Numbers:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * values))
