"""Our features of flows, with each packet an event of its own; and how fast the model scores. Prints JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from bench.eventing.packets import packets
from detectors import Shelf
from detectors.features import FlowFeatures
from detectors.models import FLOW
from telemetry import Event, EventBatch, Kind

_AT_LEAST = 3.0  # seconds
_BATCH = 65_536


def main(models: Path) -> None:
    """The capture again and again, its clock going on."""
    batch = EventBatch.of([
        Event(time=one.time, kind=Kind.FLOW, source="pcap", address=one.sender, peer=one.receiver,
              port=int(one.receiver_port) if one.receiver_port.isdecimal() else 0, bytes_in=one.size)
        for one in packets()
    ])  # fmt: skip
    copies = max(1, _BATCH // len(batch))
    large = batch.take(np.tile(np.arange(len(batch)), copies))
    span = float(batch.time[-1] - batch.time[0]) + 1.0
    large.time[:] += np.repeat(np.arange(copies) * span, len(batch))
    features, model = FlowFeatures(65_536), Shelf(models).in_force(FLOW)
    done, scored, in_features, in_scores = 0, 0, 0.0, 0.0
    while in_features < _AT_LEAST:
        large.time[:] += span * copies
        before = time.perf_counter()
        features.learn(large)
        _, matrix = features.of(large)
        middle = time.perf_counter()
        model.score(many := np.repeat(matrix, 10_000 // len(matrix) + 1, axis=0))
        in_features += middle - before
        in_scores += time.perf_counter() - middle
        done, scored = done + len(large), scored + len(many)
    print(json.dumps({"packet_features_per_s": done / in_features, "flow_scores_per_s": scored / in_scores}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
