"""Suricata's EVE records of a malicious capture, without labels: verdicts, and how soon the first came.

Malicious is first what Suricata says so itself: the earliest alert, of whatever severity. Time is the capture's own.
"""

from __future__ import annotations

import numpy as np

from bench.detecting.scores import SHARED, Figures
from bench.detecting.shipped import counted, pipeline, play, read
from telemetry import Kind

CAPTURE = SHARED / "suricata" / "eve-malicious.json.gz"


def measure(seed: int) -> Figures:
    """The capture past a pipeline that knows nobody; without a verdict, the time to it is all that was left."""
    batch = read((CAPTURE,))
    verdicts = play(pipeline(seed), batch)
    alerts = batch.time[np.equal(batch.kind, Kind.ALERT)]
    since, end = float(alerts[0]), float(batch.time[-1])
    seconds = min([verdict.time for verdict in verdicts] + [end]) - since
    before = sum(verdict.time < since for verdict in verdicts)
    return {
        "suricata_events": float(len(batch)),
        "suricata_alerts": float(len(alerts)),
        "suricata_seconds_to_first_verdict": max(seconds, 0.0),
        "suricata_verdicts_before_first_alert": float(before),
    } | counted("suricata", verdicts)
