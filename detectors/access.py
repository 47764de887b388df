"""Judges actors by their requests: taken-over agents, stolen sessions, enumeration, credential stuffing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU, Arrays
from detectors.by_model import ByModel
from detectors.detector import Mask, Scores, of_kind
from detectors.evidence import Evidence, Reason, Row, count, rhythm, span
from detectors.features import AccessFeatures, nameless
from detectors.features.access import NAMES
from detectors.features.hashing import KEY
from detectors.judgement import verdict_id
from detectors.models import Model
from detectors.verdict import SubjectKind, Verdict
from telemetry import EventBatch, Kind

LLM_PLUGIN_COMPROMISE = "AML.T0053"  # ATLAS: an agent's tools in other hands
ACCOUNT_DISCOVERY = "T1087"
CREDENTIAL_STUFFING = "T1110.004"


class AccessDetector(ByModel):
    """Who acts is judged, not on whose behalf; where nobody is known, the address is."""

    name = "access"
    kind = Kind.REQUEST

    def __init__(self, model: Model, capacity: int = 16_384, arrays: Arrays = CPU, key: int = KEY) -> None:
        super().__init__(model, capacity, arrays, AccessFeatures(capacity, arrays, key), Evidence(NAMES, _REASONS))

    def mine(self, batch: EventBatch) -> Mask:
        """Requests of somebody, or from somewhere."""
        return of_kind(batch, self.kind) & ~nameless(batch)

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
        subject, actor, address = batch.subject.text(row), batch.actor.text(row), batch.address.text(row)
        kind, technique = _what(actor, subject)
        return Verdict(
            id=verdict_id(self.name, kind, actor or address, now, self._model.card.revision),
            time=now,
            detector=self.name,
            kind=kind,
            subject=actor or address,
            score=float(scores.values[place]),
            threshold=self.threshold,
            evidence=words,
            technique=technique,
            model=self._model.card.revision,
            since=since,
            on_behalf_of=subject if kind == "actor" and subject != actor else "",
            address=address,
            session=batch.session.text(row),
        )


def _what(actor: str, subject: str) -> tuple[SubjectKind, str]:
    if not actor:
        return "address", CREDENTIAL_STUFFING
    if actor.startswith("agent:"):
        return "actor", LLM_PLUGIN_COMPROMISE
    delegated = subject not in ("", actor)
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
    gap, variation = rhythm(row)
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
    Reason(("foreign_", "novel_", "new_paths_"), _foreign),
    Reason(("requests_", "burst_"), _pace),
    Reason(("gap_",), _rhythm),
    Reason(("unauthenticated_",), _unauthenticated),
    Reason(("failed_",), _failed),
    Reason(("log_bytes_",), _volume),
    Reason(("is_",), _who),
)
