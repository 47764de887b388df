"""Judges addresses by their flows: scanning, across ports or across peers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU, Arrays
from detectors.by_model import ByModel
from detectors.detector import Mask, Scores, of_kind
from detectors.evidence import Evidence, Reason, Row, count, span
from detectors.features import FlowFeatures, blank
from detectors.features.flow import NAMES
from detectors.features.hashing import KEY
from detectors.judgement import on_address
from detectors.models import Model
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind

NETWORK_SERVICE_DISCOVERY = "T1046"


class FlowDetector(ByModel):
    """An XGBoost model over the flows of each source address."""

    name = "flow"
    kind = Kind.FLOW

    def __init__(self, model: Model, capacity: int = 16_384, arrays: Arrays = CPU, key: int = KEY) -> None:
        super().__init__(model, capacity, arrays, FlowFeatures(capacity, arrays, key), Evidence(NAMES, _REASONS))

    def mine(self, batch: EventBatch) -> Mask:
        """Flows from an address."""
        return of_kind(batch, self.kind) & ~blank(batch.address)

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
        revision, technique = self._model.card.revision, NETWORK_SERVICE_DISCOVERY
        return on_address(
            self, scores, place, batch, now, evidence=words, technique=technique, model=revision, since=since
        )


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
