"""Scores and the truth, as figures; and figures over seeds, as a mean with its interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
Figures = dict[str, float]
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"  # public data, beside the checkout

# Student's t for 95 %, two-sided, by degrees of freedom
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
_T_MANY = 2.2


def auc(scores: Numbers, hostile: Mask) -> float:
    """The area under the ROC curve: how often a hostile row is above another, ties counting half (Mann-Whitney)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    positive, negative = int(hostile.sum()), int((~hostile).sum())
    return float((ranks[hostile].sum() - positive * (positive + 1) / 2) / (positive * negative))


def tpr_at(scores: Numbers, hostile: Mask, fpr: float = 0.01) -> float:
    """Share of the hostile rows above the score that no more than a share of the others exceeds."""
    others = np.sort(scores[~hostile])[::-1]
    limit = others[min(int(fpr * len(others)), len(others) - 1)]
    return float((scores[hostile] > limit).mean())


def ranking(name: str, scores: Numbers, hostile: Mask) -> Figures:
    """What does not depend on a threshold."""
    return {f"{name}_auc": auc(scores, hostile), f"{name}_tpr_at_1fpr": tpr_at(scores, hostile)}


def calling(name: str, called: Mask, hostile: Mask) -> Figures:
    """What does: accuracy, and the share of each side that is called hostile."""
    return {
        f"{name}_accuracy": float((called == hostile).mean()),
        f"{name}_tpr": float(called[hostile].mean()),
        f"{name}_fpr": float(called[~hostile].mean()),
    }


def over_seeds(each: Sequence[Figures]) -> Figures:
    """Mean of each figure over seeds, with `_low` and `_high`: Student's t interval of that mean, 95 %.

    A count that a seed does not have is 0.
    """
    found: Figures = {}
    for name in dict.fromkeys(name for figures in each for name in figures):
        values = [figures.get(name, 0.0) for figures in each]
        found[name] = statistics.fmean(values)
        if len(values) > 1:
            t = _T.get(len(values) - 1, _T_MANY)
            half = t * statistics.stdev(values) / math.sqrt(len(values))
            found |= {f"{name}_low": found[name] - half, f"{name}_high": found[name] + half}
    return found


def missing(paths: Iterable[Path]) -> str:
    """Which of some files are not there; empty where all are."""
    return ", ".join(str(path.relative_to(SHARED)) for path in paths if not path.exists())
