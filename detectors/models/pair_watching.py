"""What models of pairs see of labelled traffic: pairs of which enough is known, and an attacker's honest ones apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU
from detectors.features.hashing import KEY
from detectors.features.pair import PairFeatures
from detectors.features.pair_columns import telling
from detectors.features.pairing import ends, grouped
from detectors.models.evaluation import Samples, watch
from detectors.simulator import Labelled

_CAPACITY = 131_072
_FIRST, _STAGE = 8, np.log(1.12)  # rows that are kept of each pair, and how much later the next one is


def watch_pairs(traffic: Iterable[Labelled]) -> Samples:
    """A row for each pair that a batch touched, where enough is known of it to be judged.

    An honest pair of a source that attacks by another one has -1 hostile events from then on: a verdict names the
    source, so that nobody is wronged by it, nor is it the right one.
    """
    whose: dict[int, int] = {}  # each pair's source, in the order in which `watch` numbers the pairs
    began: dict[int, float] = {}  # a source's first hostile event
    samples = watch(PairFeatures(_CAPACITY), _noting(traffic, whose, began))
    ill = np.array([began.get(source, np.inf) for source in whose.values()])
    beside = (samples.hostile == 0) & (samples.time >= ill[samples.subject])
    told = replace(samples, hostile=np.where(beside, -1, samples.hostile))
    return told.take(telling(samples.matrix))


def thinned(samples: Samples) -> Samples:
    """The first few rows of each pair, and then ever fewer: who is there all day says much the same all day, and would
    drown who does one thing once. What an attacker's host does beside is honest here.
    """
    order = np.argsort(samples.subject, kind="stable")
    subjects = samples.subject[order]
    number = np.arange(len(order)) - np.searchsorted(subjects, subjects)
    kept = np.sort(order[(number < _FIRST) | (_stage(number) > _stage(number - 1))])
    some = samples.take(kept)
    return replace(some, hostile=np.maximum(some.hostile, 0))


def _stage(number: NDArray[np.int64]) -> NDArray[np.float64]:
    stage: NDArray[np.float64] = np.floor(np.log(np.maximum(number, 1)) / _STAGE)
    return stage


def _noting(traffic: Iterable[Labelled], whose: dict[int, int], began: dict[int, float]) -> Iterator[Labelled]:
    for labelled in traffic:
        batch, every = labelled.batch, np.arange(len(labelled.batch))
        found = ends(batch, every, CPU, KEY)
        groups = grouped(found.pairs, CPU)
        for pair, source in zip(groups.hashes.tolist(), found.sources[groups.last].tolist(), strict=True):
            whose.setdefault(pair, source)
        for row in np.flatnonzero(labelled.hostile).tolist():
            began.setdefault(int(found.sources[row]), float(batch.time[row]))
        yield labelled
