"""A model's reasons in words: what each group of features added to the score, strongest first, with the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Row = Mapping[str, float]  # one subject's features, by name
MOST = 4  # reasons in one verdict


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that may speak against a subject: the features that belong to it, and how to say it."""

    prefixes: tuple[str, ...]
    say: Callable[[Row, str], str]  # the features, and the time scale that counted most ("10s")


class Evidence:
    """Turns a row of features and its TreeSHAP contributions into sentences."""

    def __init__(self, names: Sequence[str], reasons: Sequence[Reason]) -> None:
        self._names = tuple(names)
        self._reasons = tuple(reasons)
        self._members = [
            [place for place, name in enumerate(names) if name.startswith(reason.prefixes)] for reason in reasons
        ]

    def words(self, values: NDArray[np.float64], contributions: NDArray[np.float32]) -> tuple[str, ...]:
        """The reasons that speak against the subject, strongest first; those that speak for it are left out."""
        row = dict(zip(self._names, values.tolist(), strict=True))
        weights = [float(contributions[members].sum()) for members in self._members]
        strongest = sorted(range(len(weights)), key=weights.__getitem__, reverse=True)[:MOST]
        return tuple(
            self._reasons[place].say(row, self._scale(place, contributions))
            for place in strongest
            if weights[place] > 0
        )

    def _scale(self, place: int, contributions: NDArray[np.float32]) -> str:
        """The time scale of the group's feature that counted most; ten seconds where it has none."""
        scaled = [member for member in self._members[place] if self._names[member][-2:-1].isdigit()]
        if not scaled:
            return "10s"
        return self._names[max(scaled, key=lambda member: float(contributions[member]))].rpartition("_")[2]


def rhythm(row: Row) -> tuple[float, float]:
    """Mean gap in seconds, and by which share of it gaps vary."""
    return float(np.exp(row["gap_mean"])), float(np.sqrt(np.expm1(row["gap_spread"])))


def count(row: Row, name: str) -> float:
    """A damped count."""
    return row[name]


def span(scale: str) -> str:
    """A time scale in words."""
    seconds = int(scale[:-1])
    if seconds == 1:
        return "second"
    return f"{seconds} s" if seconds < 600 else f"{seconds // 60} min"
