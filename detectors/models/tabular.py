"""Learns a labelled table so that attacks of a kind that it lacks are found, too: trees, novelty, and how to join them.

How much each part counts, and from where a row is called hostile, is learnt from the training table alone. By turns,
kinds of attack are left out, and clusters of normal rows too, for what is normal changes as attacks do; what is trained
on the rest is asked about them, and about rows like those that it has seen. Half of the attacks, and half of the normal
rows that come are taken to be of a kind never seen before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.models.bag import Bag, learn_bag
from detectors.models.clusters import clusters
from detectors.models.columns import Columns, Encoder
from detectors.models.joining import NORMAL, Join, Mask, Numbers, Turn, fair_weights, fit_join
from detectors.models.novelty import Novelty, learn_novelty

_PARTS = 5  # turns in which kinds of attack are left out
_ASKED = 1000  # rows of one kind that a turn asks about
_CLUSTERS = 60  # of normal rows


@dataclass(frozen=True, slots=True)
class Parts:
    """What is joined: trees that know attacks, and novelty that knows what is normal."""

    encoder: Encoder
    bag: Bag
    novelty: Novelty

    @classmethod
    def of(cls, columns: Columns, kinds: NDArray[np.str_], seed: int) -> Parts:
        """Learn both from a table; a row of kind "normal" is no attack."""
        normal = kinds == NORMAL
        encoder = Encoder.of(columns, normal)
        views = encoder.ranked(columns), encoder.plain(columns)
        bag = learn_bag(views, ~normal, _weights(kinds), encoder.column, seed)
        return cls(encoder, bag, learn_novelty(views[0][normal], np.random.default_rng((seed, 13))))

    def scores(self, columns: Columns) -> Numbers:
        """[rows, 3] ln odds on which the trees agree, their mean margin, and ln error of the autoencoder."""
        ranked = self.encoder.ranked(columns)
        return np.column_stack([self.bag.scores((ranked, self.encoder.plain(columns))), self.novelty.score(ranked)])


@dataclass(frozen=True, slots=True)
class TabularModel:
    """Learnt from a table; scoring never changes it."""

    parts: Parts
    join: Join

    def score(self, columns: Columns) -> Numbers:
        """Probability that each row is hostile, if half of all rows were."""
        return self.join.probability(self.parts.scores(columns))

    def novelty(self, columns: Columns) -> Numbers:
        """How unlike normal rows each is, whatever attacks look like; 1 is what one normal row in a hundred reaches."""
        values = self.parts.novelty.score(self.parts.encoder.ranked(columns))
        novelty: Numbers = (values - self.join.middle[1]) / self.join.reach[1]
        return novelty


def learn_table(columns: Columns, kinds: NDArray[np.str_], seed: int) -> TabularModel:
    """Learn from columns and each row's kind: "normal", or the name of an attack.

    Raises ValueError where there are too few of either to leave some out.
    """
    rng = np.random.default_rng((seed, 17))
    new = _new_in(columns, kinds, rng)
    held = rng.integers(0, _PARTS, len(kinds))
    turns = [
        _turn(columns, kinds, new == number, held == number, (seed, number))
        for number in range(_PARTS)
        if _both(kinds[(new != number) & (held != number)])  # with one kind of attack, a turn has none left
    ]
    if not any(turn.hostile.any() for turn in turns):
        raise ValueError("too few attacks, or too few normal rows, to learn from")
    return TabularModel(Parts.of(columns, kinds, seed), fit_join(turns))


def _weights(kinds: NDArray[np.str_]) -> Numbers:
    """Attacks weigh as much as normal rows, a kind of them the root of its rows: no frequent one decides."""
    hostile = kinds != NORMAL
    _, place, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    weights: Numbers = 1 / np.sqrt(counts[place])
    weights[hostile] *= (~hostile).sum() / weights[hostile].sum()
    weights[~hostile] = 1.0
    return weights


def _new_in(columns: Columns, kinds: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.int64]:
    """The turn in which each row is new: those of a kind of attack, or of a cluster of normal rows, together."""
    normal = np.flatnonzero(kinds == NORMAL)
    groups = np.unique(kinds, return_inverse=True)[1]
    ranked = Encoder.of(columns, kinds == NORMAL).ranked(_rows(columns, normal))
    groups[normal] = groups.max() + 1 + clusters(ranked, _CLUSTERS, rng)
    names, place = np.unique(groups, return_inverse=True)
    attacks = len(np.unique(kinds[kinds != NORMAL]))  # numbered first, and dealt out by themselves
    turn = np.concatenate([rng.permutation(attacks), rng.permutation(len(names) - attacks)]) % _PARTS
    turns: NDArray[np.int64] = turn[place]
    return turns


def _both(kinds: NDArray[np.str_]) -> bool:
    """Whether there are attacks and normal rows."""
    return 0 < int((kinds == NORMAL).sum()) < len(kinds)


def _turn(columns: Columns, kinds: NDArray[np.str_], new: Mask, held: Mask, seed: tuple[int, int]) -> Turn:
    learnt = np.flatnonzero(~(new | held))
    parts = Parts.of(_rows(columns, learnt), kinds[learnt], seed[0] * 100 + seed[1])
    asked = _asked(kinds, new | held, np.random.default_rng((*seed, 19)))
    scores = parts.scores(_rows(columns, asked))
    return Turn(scores, kinds[asked] != NORMAL, new[asked], fair_weights(kinds[asked], new[asked]))


def _asked(kinds: NDArray[np.str_], rows: Mask, rng: np.random.Generator) -> NDArray[np.int64]:
    """The rows, of each kind of attack no more than some."""
    chosen = [np.flatnonzero(rows & (kinds == NORMAL))]
    for kind in np.unique(kinds[rows & (kinds != NORMAL)]):
        chosen.append(rng.permutation(np.flatnonzero(rows & (kinds == kind)))[:_ASKED])
    return np.sort(np.concatenate(chosen))


def _rows(columns: Columns, rows: NDArray[np.int64]) -> Columns:
    return {name: column[rows] for name, column in columns.items()}
