"""Judges addresses by their flows: scanning, across ports or across peers."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.arrays import CPU, Arrays
from detectors.detector import NO_SCORES, Mask, Scores, State, of_kind
from detectors.evidence import Evidence, Reason, Row, count, span
from detectors.features import FlowFeatures, blank
from detectors.features.flow import NAMES
from detectors.features.hashing import KEY
from detectors.judgement import verdict_id
from detectors.models import Model
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind

NETWORK_SERVICE_DISCOVERY = "T1046"


class FlowDetector:
    """An XGBoost model over the flows of each source address."""

    name = "flow"

    def __init__(self, model: Model, capacity: int = 16_384, arrays: Arrays = CPU, key: int = KEY) -> None:
        self.capacity = capacity
        self.adopt(model)
        self._arrays = arrays
        self._features = FlowFeatures(capacity, arrays, key)
        self._evidence = Evidence(NAMES, _REASONS)

    def adopt(self, model: Model) -> None:
        """Judge by this model from here on; what is known of the subjects stays."""
        self._model = model
        self.threshold = model.card.threshold

    def mine(self, batch: EventBatch) -> Mask:
        """Flows from an address."""
        return of_kind(batch, Kind.FLOW) & ~blank(batch.address)

    def learn(self, batch: EventBatch) -> None:
        """Take in flows."""
        if len(batch):
            self._features.learn(batch)

    def score(self, batch: EventBatch) -> Scores:
        """Calibrated probability that each source address of the batch that is due is hostile."""
        if not len(batch):
            return NO_SCORES
        news, host = self._features.news(batch), self._arrays.host
        return Scores(host(news.hashes), self._model.score(news.matrix), host(news.rows))

    def state(self) -> State:
        """What is known of each subject."""
        return self._features.state()

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        self._features.restore(state)

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts with the model's reasons."""
        if not len(scores):
            return []
        hashes = self._arrays.xp.asarray(scores.hashes)
        matrix = self._arrays.host(self._features.matrix(hashes))
        parts = self._model.contributions(matrix)
        since = self._features.since(hashes)
        addresses = [batch.address.text(row) for row in scores.rows.tolist()]
        return [
            Verdict(
                id=verdict_id(self.name, "address", address, now, self._model.card.revision),
                time=now,
                detector=self.name,
                kind="address",
                subject=address,
                score=float(scores.values[place]),
                threshold=self.threshold,
                evidence=self._evidence.words(matrix[place], parts[place]),
                technique=NETWORK_SERVICE_DISCOVERY,
                model=self._model.card.revision,
                since=float(since[place]),
                address=address,
                session=batch.session.text(int(scores.rows[place])),
            )
            for place, address in enumerate(addresses)
        ]


def _failed(row: Row, scale: str) -> str:
    share, flows = row[f"failed_share_{scale}"], count(row, f"flows_{scale}")
    return f"{share:.0%} of its about {flows:.0f} flows in the last {span(scale)} never got an answer"


def _ports(row: Row, scale: str) -> str:
    return f"about {count(row, f'new_ports_{scale}'):.0f} ports in the last {span(scale)} that it never tried before"


def _peers(row: Row, scale: str) -> str:
    peers, targets = count(row, f"new_peers_{scale}"), count(row, f"new_targets_{scale}")
    return f"about {peers:.0f} hosts and {targets:.0f} services in the last {span(scale)} that it never tried before"


def _pace(row: Row, scale: str) -> str:
    return f"about {count(row, f'flows_{scale}'):.0f} flows in the last {span(scale)}"


def _volume(row: Row, scale: str) -> str:
    return "flows that carry next to nothing"


_REASONS: Sequence[Reason] = (
    Reason(("failed_",), _failed),
    Reason(("new_ports_",), _ports),
    Reason(("new_peers_", "new_targets_"), _peers),
    Reason(("flows_", "burst_"), _pace),
    Reason(("log_", "bytes_"), _volume),
)
