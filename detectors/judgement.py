"""What a verdict is made of: its identity, and what all verdicts on an address have in common."""

from __future__ import annotations

import hashlib

from detectors.detector import Detector, Scores
from detectors.verdict import Verdict
from telemetry import EventBatch


def verdict_id(detector: str, kind: str, subject: str, now: float, model: str) -> str:
    """ "v-" and 16 hex digits: the same judgement of the same subject at the same time has the same id."""
    body = "\0".join((detector, kind, subject, repr(now), model)).encode("utf-8", "surrogatepass")
    return f"v-{hashlib.blake2b(body, digest_size=8).hexdigest()}"


def on_address(
    detector: Detector,
    scores: Scores,
    place: int,
    batch: EventBatch,
    now: float,
    *,
    evidence: tuple[str, ...],
    technique: str,
    model: str,
    since: float,
    other: str = "",
) -> Verdict:
    """A verdict on the source address of the row at that place among the scores; `other` is what tells it from further
    ones on the same address.
    """
    row = int(scores.rows[place])
    address = batch.address.text(row)
    return Verdict(
        id=verdict_id(detector.name, "address", f"{address} {other}" if other else address, now, model),
        time=now,
        detector=detector.name,
        kind="address",
        subject=address,
        score=float(scores.values[place]),
        threshold=detector.threshold,
        evidence=evidence,
        technique=technique,
        model=model,
        since=since,
        address=address,
        session=batch.session.text(row),
    )
