"""Judges who speaks with whom: beacons, retries on a dead command server, exfiltration, guessing, lateral movement."""

from __future__ import annotations

import numpy as np

from detectors.arrays import CPU, Arrays
from detectors.detector import NO_SCORES, Mask, Scores, State, of_kind
from detectors.evidence import Evidence
from detectors.features import blank
from detectors.features.hashing import KEY
from detectors.features.pair import PairFeatures
from detectors.features.pair_columns import NAMES, telling
from detectors.judgement import verdict_id
from detectors.models import Model
from detectors.pair_words import REASONS, end_of, technique
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind


class PairDetector:
    """An XGBoost model over the flows of each source address with one port of one peer.

    The subject of a verdict is the source address; a pair is told of by itself, and the evidence names the peer. Pairs
    of which too little is known (`telling`) have no score.
    """

    name = "pair"

    def __init__(self, model: Model, capacity: int = 16_384, arrays: Arrays = CPU, key: int = KEY) -> None:
        self.capacity = capacity
        self.adopt(model)
        self._arrays = arrays
        self._features = PairFeatures(capacity, arrays, key)
        self._evidence = Evidence(NAMES, REASONS)

    def adopt(self, model: Model) -> None:
        """Judge by this model from here on; what is known of the pairs stays."""
        self._model = model
        self.threshold = model.card.threshold

    def mine(self, batch: EventBatch) -> Mask:
        """Flows from an address to a peer."""
        return of_kind(batch, Kind.FLOW) & ~(blank(batch.address) | blank(batch.peer))

    def learn(self, batch: EventBatch) -> None:
        """Take in flows."""
        if len(batch):
            self._features.learn(batch)

    def score(self, batch: EventBatch) -> Scores:
        """Calibrated probability that each pair of the batch is hostile, where enough is known of it."""
        if not len(batch):
            return NO_SCORES
        hashes, last, matrix = self._features.held(batch)
        rows = self._arrays.xp.flatnonzero(telling(matrix))
        if not len(rows):
            return NO_SCORES
        host = self._arrays.host
        return Scores(host(hashes[rows]), self._model.score(matrix[rows]), host(last[rows]))

    def state(self) -> State:
        """What is known of each pair."""
        return self._features.state()

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        self._features.restore(state)

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts that name the peer, with the model's reasons."""
        if not len(scores):
            return []
        hashes = self._arrays.xp.asarray(scores.hashes)
        matrix = self._arrays.host(self._features.matrix(hashes))
        parts = self._model.contributions(matrix)
        since = self._features.since(hashes)
        return [
            self._verdict(scores, place, batch, now, matrix[place], parts[place], float(since[place]))
            for place in range(len(scores))
        ]

    def _verdict(
        self,
        scores: Scores,
        place: int,
        batch: EventBatch,
        now: float,
        values: np.typing.NDArray[np.float64],
        parts: np.typing.NDArray[np.float32],
        since: float,
    ) -> Verdict:
        row = int(scores.rows[place])
        address, port, revision = batch.address.text(row), int(batch.port[row]), self._model.card.revision
        end = end_of(batch.peer.text(row), port)
        return Verdict(
            id=verdict_id(self.name, "address", f"{address} {end}", now, revision),
            time=now,
            detector=self.name,
            kind="address",
            subject=address,
            score=float(scores.values[place]),
            threshold=self.threshold,
            evidence=(end, *self._evidence.words(values, parts)),
            technique=technique(dict(zip(NAMES, values.tolist(), strict=True)), port),
            model=revision,
            since=since,
            address=address,
            session=batch.session.text(row),
        )
