"""Kitsune's netStat on the capture's packets, as its own FeatureExtractor calls it, parsing left out. Prints JSON."""

from __future__ import annotations

import importlib
import json
import sys
import time

import numpy as np

from bench.eventing.packets import packets
from bench.eventing.peers import KITSUNE

_AT_LEAST = 3.0  # seconds
_MANY = 100_000_000_000  # hosts and sessions that it may keep


def main() -> None:
    """The capture again and again, its clock going on."""
    sys.path.insert(0, str(KITSUNE))
    vars(np).setdefault("Inf", np.inf)  # what it was written for: NumPy before 2.0
    extractor = importlib.import_module("netStat").netStat(np.nan, _MANY, _MANY)  # as FeatureExtractor does
    given, done, later = packets(), 0, 0.0
    span = given[-1].time - given[0].time + 1.0
    before = time.perf_counter()
    while time.perf_counter() - before < _AT_LEAST:
        for one in given:
            extractor.updateGetStats(*one[:-1], one.time + later)
        done, later = done + len(given), later + span
    print(json.dumps({"kitsune_features_per_s": done / (time.perf_counter() - before)}))


if __name__ == "__main__":
    main()
