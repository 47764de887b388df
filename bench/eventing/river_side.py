"""river's HalfSpaceTrees, with its own defaults, on our features of the capture's packets. Prints JSON."""

from __future__ import annotations

import importlib
import json
import time

from bench.eventing.packets import packets
from detectors.features import FlowFeatures
from detectors.features.flow import NAMES
from telemetry import Event, EventBatch, Kind

_AT_LEAST = 3.0  # seconds


def main() -> None:
    """Scored, then learnt, one by one, as its interface has it."""
    batch = EventBatch.of([
        Event(time=one.time, kind=Kind.FLOW, source="pcap", address=one.sender, peer=one.receiver, bytes_in=one.size)
        for one in packets()
    ])  # fmt: skip
    features = FlowFeatures(65_536)
    features.learn(batch)
    rows = [dict(zip(NAMES, row.tolist(), strict=True)) for row in features.of(batch)[1]]
    trees = importlib.import_module("river.anomaly").HalfSpaceTrees(seed=1)
    done, before = 0, time.perf_counter()
    while time.perf_counter() - before < _AT_LEAST:
        for row in rows:
            trees.score_one(row)
            trees.learn_one(row)
        done += len(rows)
    print(json.dumps({"river_scores_per_s": done / (time.perf_counter() - before)}))


if __name__ == "__main__":
    main()
