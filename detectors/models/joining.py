"""How scores become one probability, and from where it is called hostile: learnt on rows that training lacked.

A row may be hostile because the trees agree on it, or because trees and novelty together say so: the odds of both
are added. The second has a limit. Novelty is what finds attacks of a kind that training lacked, but nothing is as
novel as the strangest normal rows, and without a limit these would come before attacks that are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.models.calibration import sigmoid

NORMAL = "normal"
_NEW = 0.5  # share of attacks, and of normal rows, that are taken to be of a new kind
_REACH = 0.99  # of normal rows, those below the score that counts as 1
_PENALTY = 1e-4  # on the weights, so that parts that agree do not grow without bound
_STEPS = 50
_LIMIT = 2.0  # ln odds that novelty may reach
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Join:
    """A logistic regression over margin and novelty, each measured against those of normal rows; and its limit."""

    middle: Numbers  # [2] median of normal rows
    reach: Numbers  # [2] from there to the score that one normal row in a hundred has
    weights: Numbers  # [3] of both, and the offset
    threshold: float  # probability from which a row is called hostile

    def probability(self, scores: Numbers) -> Numbers:
        """Of being hostile, if half of all rows were; of the scores of `Turn`."""
        return _chance(scores[:, 0], (scores[:, 1:] - self.middle) / self.reach, self.weights)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn's answers about rows that were left out."""

    scores: Numbers  # [rows, 3] ln odds on which trees agree, their margin, novelty
    hostile: Mask
    new: Mask  # of a kind, or cluster, that was left out whole
    weights: Numbers


def fair_weights(kinds: NDArray[np.str_], new: Mask) -> Numbers:
    """Normal rows count 1 together, attacks too; of each side the new ones their share, a kind the root of its rows."""
    weights = np.zeros(len(kinds))
    for side in (kinds == NORMAL, kinds != NORMAL):
        for group, share in ((side & new, _NEW), (side & ~new, 1 - _NEW)):
            names, place, counts = np.unique(kinds[group], return_inverse=True, return_counts=True)
            if len(names):
                weights[group] = share * (1 / np.sqrt(counts))[place] / np.sqrt(counts).sum()
    return weights


def fit_join(turns: Sequence[Turn]) -> Join:
    """Measure each turn's scores against its known normal rows, then weigh them and choose the threshold over all."""
    known = [turn.scores[~turn.hostile & ~turn.new, 1:] for turn in turns]
    middles = np.array([np.median(scores, axis=0) for scores in known])
    reaches = np.maximum([np.quantile(scores, _REACH, axis=0) for scores in known] - middles, 1e-6)
    sure = np.concatenate([turn.scores[:, 0] for turn in turns])
    scores = np.concatenate([(turn.scores[:, 1:] - m) / r for turn, m, r in zip(turns, middles, reaches, strict=True)])
    hostile = np.concatenate([turn.hostile for turn in turns])
    weights = np.concatenate([turn.weights for turn in turns])
    fitted = _logistic(scores, hostile, weights / weights.sum())
    return Join(middles.mean(0), reaches.mean(0), fitted, _best(_chance(sure, scores, fitted), hostile, weights))


def _chance(sure: Numbers, measured: Numbers, weights: Numbers) -> Numbers:
    joined: Numbers = measured @ weights[:-1] + weights[-1]
    return sigmoid(np.logaddexp(sure, np.minimum(joined, _LIMIT)))


def _logistic(inputs: Numbers, hostile: Mask, weights: Numbers) -> Numbers:
    """Newton's method; the offset is not penalized."""
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    penalty = np.array([_PENALTY] * (inputs.shape[1] - 1) + [1e-9])
    fitted = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        chance = sigmoid(inputs @ fitted)
        slope = inputs.T @ (weights * (chance - hostile)) + penalty * fitted
        curve = (inputs * (weights * chance * (1 - chance))[:, None]).T @ inputs + np.diag(penalty)
        change = np.linalg.solve(curve, slope)
        fitted = fitted - change * min(1.0, 2.0 / max(float(np.abs(change).max()), 1e-12))
    return fitted


def _best(chance: Numbers, hostile: Mask, weights: Numbers) -> float:
    """The threshold at which most is judged right, by weight."""
    order = np.argsort(-chance, kind="stable")
    gained = np.cumsum(np.where(hostile[order], weights[order], -weights[order]))
    last = np.append(chance[order][1:] != chance[order][:-1], True)  # equal chances are called alike
    return float(chance[order][np.argmax(np.where(last, gained, -np.inf))])
