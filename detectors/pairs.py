"""Judges who speaks with whom: beacons, retries on a dead command server, exfiltration, guessing, lateral movement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU, Arrays
from detectors.by_model import ByModel
from detectors.detector import Mask, Scores, of_kind
from detectors.evidence import Evidence
from detectors.features import blank
from detectors.features.hashing import KEY
from detectors.features.pair import PairFeatures
from detectors.features.pair_columns import NAMES
from detectors.judgement import on_address
from detectors.models import Model
from detectors.pair_words import REASONS, end_of, technique, with_rhythm
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind


class PairDetector(ByModel):
    """An XGBoost model over the flows of each source address with one port of one peer.

    The subject of a verdict is the source address; a pair is told of by itself, and the evidence names the peer. Pairs
    of which too little is known (`telling`) have no score.
    """

    name = "pair"
    kind = Kind.FLOW

    def __init__(self, model: Model, capacity: int = 16_384, arrays: Arrays = CPU, key: int = KEY) -> None:
        super().__init__(model, capacity, arrays, PairFeatures(capacity, arrays, key), Evidence(NAMES, REASONS))

    def mine(self, batch: EventBatch) -> Mask:
        """Flows from an address to a peer."""
        return of_kind(batch, self.kind) & ~(blank(batch.address) | blank(batch.peer))

    def _verdict(
        self,
        scores: Scores,
        place: int,
        batch: EventBatch,
        now: float,
        values: NDArray[np.float64],
        words: tuple[str, ...],
        since: float,
    ) -> Verdict:
        row = int(scores.rows[place])
        port = int(batch.port[row])
        end, known = end_of(batch.peer.text(row), port), dict(zip(NAMES, values.tolist(), strict=True))
        found = technique(known, port)
        return on_address(
            self,
            scores,
            place,
            batch,
            now,
            evidence=(end, *with_rhythm(found, known, words)),
            technique=found,
            model=self._model.card.revision,
            since=since,
            other=end,
        )
