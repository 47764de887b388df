"""Judges actors by their requests: taken-over agents, stolen sessions, enumeration, credential stuffing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.arrays import CPU, Arrays
from detectors.detector import NO_SCORES, Scores, last_rows
from detectors.evidence import Evidence, Reason, Row, count, span
from detectors.features import AccessFeatures, Key, nameless
from detectors.features.access import NAMES
from detectors.judgement import verdict_id
from detectors.models import Model
from detectors.verdict import SubjectKind, Verdict
from telemetry import EventBatch, Kind

LLM_PLUGIN_COMPROMISE = "AML.T0053"  # ATLAS: an agent's tools in other hands
ACCOUNT_DISCOVERY = "T1087"
CREDENTIAL_STUFFING = "T1110.004"


class AccessDetector:
    """Who acts is judged, not on whose behalf; where nobody is known, the address is."""

    name = "access"
    kind = Kind.REQUEST

    def __init__(self, model: Model, capacity: int = 16_384, arrays: Arrays = CPU) -> None:
        self.capacity = capacity
        self.threshold = model.card.threshold
        self._model = model
        self._arrays = arrays
        self._features = AccessFeatures(capacity, arrays)
        self._evidence = Evidence(NAMES, _REASONS)

    def learn(self, batch: EventBatch) -> None:
        """Take in requests."""
        self._features.learn(batch)

    def score(self, batch: EventBatch) -> Scores:
        """Calibrated probability that each actor of the batch is hostile."""
        if not len(batch):
            return NO_SCORES
        named = np.flatnonzero(~nameless(batch))
        if not len(named):
            return NO_SCORES
        groups = self._features.groups(batch if len(named) == len(batch) else batch.take(named))
        values = self._model.score(self._features.matrix(groups.keys))
        return Scores(groups.keys, values, named[last_rows(groups.of_row, len(groups.keys))])

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts with the model's reasons."""
        if not len(scores):
            return []
        matrix = self._arrays.host(self._features.matrix(scores.keys))
        parts = self._model.contributions(matrix)
        since = self._features.since(scores.keys)
        return [
            self._verdict(scores, place, batch, now, self._evidence.words(matrix[place], parts[place]), since[place])
            for place in range(len(scores))
        ]

    def _verdict(
        self, scores: Scores, place: int, batch: EventBatch, now: float, evidence: tuple[str, ...], since: float
    ) -> Verdict:
        row = int(scores.rows[place])
        subject = batch.subject.text(row)
        kind, technique = _what(scores.keys[place], subject)
        return Verdict(
            id=verdict_id(self.name, kind, scores.keys[place][1], now, self._model.card.revision),
            time=now,
            detector=self.name,
            kind=kind,
            subject=scores.keys[place][1],
            score=float(scores.values[place]),
            threshold=self.threshold,
            evidence=evidence,
            technique=technique,
            model=self._model.card.revision,
            since=float(since),
            on_behalf_of=subject if kind == "actor" and subject != scores.keys[place][1] else "",
            address=batch.address.text(row),
            session=batch.session.text(row),
        )


def _what(key: Key, subject: str) -> tuple[SubjectKind, str]:
    if key[0] == "address":
        return "address", CREDENTIAL_STUFFING
    if key[1].startswith("agent:"):
        return "actor", LLM_PLUGIN_COMPROMISE
    delegated = subject not in ("", key[1])
    return ("actor" if delegated else "principal"), ACCOUNT_DISCOVERY


def _refused(row: Row, scale: str) -> str:
    share, requests = row[f"refused_share_{scale}"], count(row, f"requests_{scale}")
    return f"{share:.0%} of its about {requests:.0f} requests in the last {span(scale)} were refused"


def _foreign(row: Row, scale: str) -> str:
    foreign, novel = count(row, f"foreign_{scale}"), count(row, f"novel_{scale}")
    return (
        f"about {novel:.0f} resources in the last {span(scale)} that it never touched before, "
        f"{foreign:.0f} of them not its own"
    )


def _pace(row: Row, scale: str) -> str:
    return f"about {count(row, f'requests_{scale}'):.0f} requests in the last {span(scale)}"


def _rhythm(row: Row, scale: str) -> str:
    gap, variation = np.exp(row["gap_mean"]), np.sqrt(np.expm1(row["gap_spread"]))
    return (
        f"gaps of {gap * 1000:.0f} ms on average that vary by {variation:.0%}, "
        f"{row['gap_fast']:.0%} of them under 100 ms: the rhythm of a machine"
    )


def _unauthenticated(row: Row, scale: str) -> str:
    return f"about {count(row, f'unauthenticated_{scale}'):.0f} requests without valid proof in the last {span(scale)}"


def _failed(row: Row, scale: str) -> str:
    return f"{row[f'failed_share_{scale}']:.0%} of its requests in the last {span(scale)} found nothing or failed"


def _volume(row: Row, scale: str) -> str:
    return f"answers of about {np.expm1(row[f'log_bytes_share_{scale}']):.0f} bytes in the last {span(scale)}"


def _who(row: Row, scale: str) -> str:
    return "nobody is known behind the address" if row["is_anonymous"] else "its kind: a machine, or a person"


_REASONS: Sequence[Reason] = (
    Reason(("refused_",), _refused),
    Reason(("foreign_", "novel_", "new_paths_", "distinct_"), _foreign),
    Reason(("requests_",), _pace),
    Reason(("gap_",), _rhythm),
    Reason(("unauthenticated_",), _unauthenticated),
    Reason(("failed_",), _failed),
    Reason(("log_bytes_",), _volume),
    Reason(("is_",), _who),
)
