"""Judges addresses by the names they ask for: many that an algorithm made, or that do not exist, within minutes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.detector import NO_SCORES, Mask, Scores, State, of_kind
from detectors.features import blank
from detectors.features.asked import SCALE
from detectors.features.hashing import KEY
from detectors.judgement import on_address
from detectors.models import Model
from detectors.models.asking import THRESHOLD, Asking
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind

DOMAIN_GENERATION = "T1568.002"


class NameDetector:
    """A model of names, and a rule over how many strange ones an address asks for (`Asking`)."""

    name = "name"
    kind = Kind.DNS
    threshold = THRESHOLD

    def __init__(self, model: Model, capacity: int = 16_384, key: int = KEY) -> None:
        self.capacity = capacity
        self._asking = Asking(model, capacity, key)

    def adopt(self, model: Model) -> None:
        """Judge names by this model from here on; what is known of the addresses stays."""
        self._asking.adopt(model)

    def mine(self, batch: EventBatch) -> Mask:
        """Questions from an address."""
        return of_kind(batch, self.kind) & ~blank(batch.address)

    def learn(self, batch: EventBatch) -> None:
        """Take in questions and answers."""
        if len(batch):
            self._asking.learn(batch)

    def score(self, batch: EventBatch) -> Scores:
        """Each source address of the batch."""
        if not len(batch):
            return NO_SCORES
        groups, values = self._asking.of(batch)
        return Scores(groups.hashes, values[:, 0].astype(np.float64), groups.last)

    def state(self) -> State:
        """What is known of each address."""
        return self._asking.state()

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        self._asking.restore(state)

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts that quote the latest of the names."""
        features = self._asking.features
        counts, slots = features.counts(scores.hashes), features.table.find(scores.hashes)
        since = np.where(slots < 0, batch.time[scores.rows], features.since(scores.hashes))
        return [
            on_address(
                self,
                scores,
                place,
                batch,
                now,
                evidence=_words(counts[place], features.quotes.of(slot)),
                technique=DOMAIN_GENERATION,
                model=self._asking.model.revision,
                since=float(since[place]),
            )
            for place, slot in enumerate(slots.tolist())
        ]


def _words(counts: NDArray[np.float64], quotes: tuple[str, ...]) -> tuple[str, ...]:
    new, strange, lost = counts.tolist()
    said = [
        f"about {strange:.0f} of {new:.0f} domains that it first asked for in the last {SCALE:.0f} s look made by an "
        "algorithm",
        f"about {lost:.0f} that may be made so do not exist",
    ]
    quoted = [f"such as {', '.join(quotes)}"] if quotes else []
    order = (0, 1) if strange >= lost else (1, 0)
    return (*(said[place] for place in order if counts[1 + place] >= 0.5), *quoted) or (said[0],)
