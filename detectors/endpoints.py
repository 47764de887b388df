"""Judges principals, and hosts, by what endpoint agents report: credentials read out of memory or off the disk."""

from __future__ import annotations

import re

import numpy as np

from detectors.detector import NO_SCORES, Mask, Scores, of_kind
from detectors.features.hashing import hash_texts
from detectors.judgement import verdict_id
from detectors.verdict import SubjectKind, Verdict
from telemetry import EventBatch, Kind, Words

REVISION = "rule:credential-access"
CREDENTIAL_DUMPING = "T1003"
_TOLD, _KNOWN = 0.95, 0.9  # score where the agent names the technique, where the pattern is ours
_TECHNIQUE = re.compile(r"\bT1003(?:\.\d{3})?\b")
# What credential dumping looks like (ATT&CK T1003.001 LSASS memory, .002 SAM, .003 NTDS, .008 /etc/shadow)
_PATTERNS = (
    (re.compile(r"mimikatz|sekurlsa|lsadump|procdump.*lsass|lsass.*\.dmp|comsvcs.*minidump", re.IGNORECASE), ".001"),
    (re.compile(r"save\s+hklm\\(sam|security|system)\b|config\\sam\b", re.IGNORECASE), ".002"),
    (re.compile(r"ntds\.dit|ntdsutil.*ifm", re.IGNORECASE), ".003"),
    (re.compile(r"/etc/shadow\b", re.IGNORECASE), ".008"),
)
_HINT = re.compile(r"T1003|mimikatz|sekurlsa|lsa|comsvcs|sam\b|hklm|ntds|shadow", re.IGNORECASE)
_READ = ("name", "action", "service", "resource")  # columns that may say it, in the order in which they are quoted


class EndpointDetector:
    """A rule without memory: each report stands for itself."""

    name = "endpoint"
    threshold = 0.8

    def __init__(self, capacity: int = 16_384) -> None:
        self.capacity = capacity

    def mine(self, batch: EventBatch) -> Mask:
        """What endpoint agents report."""
        return of_kind(batch, Kind.ENDPOINT)

    def learn(self, batch: EventBatch) -> None:
        """Nothing: each report stands for itself."""

    def score(self, batch: EventBatch) -> Scores:
        """The principal of each suspect report, or the host where none is named, by the worst of its reports."""
        worst: dict[str, tuple[float, int]] = {}
        for row in np.flatnonzero(_suspect(batch)).tolist():
            score, _ = judge(_text(batch, row))
            who = _principal(batch, row) or _host(batch, row)
            if who and score >= worst.get(who, (0.0, 0))[0]:
                worst[who] = (score, row)
        if not worst:
            return NO_SCORES
        values, rows = zip(*worst.values(), strict=True)
        return Scores(hash_texts(tuple(worst))[0], np.array(values), np.array(rows, np.int64))

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """A verdict on each principal, and one on the host that it happened on."""
        verdicts = []
        for score, row in zip(scores.values.tolist(), scores.rows.tolist(), strict=True):
            host, principal = _host(batch, row), _principal(batch, row)
            if principal:
                verdicts.append(_verdict("principal", principal, score, batch, row, now))
            if host:
                verdicts.append(_verdict("host", host, score, batch, row, now))
        return verdicts


def judge(text: str) -> tuple[float, str]:
    """Score and technique of what a report says; 0 where it says nothing of credentials."""
    told = _TECHNIQUE.search(text)
    if told:
        return _TOLD, told[0]
    known = next((number for pattern, number in _PATTERNS if pattern.search(text)), None)
    return (0.0, "") if known is None else (_KNOWN, CREDENTIAL_DUMPING + known)


def _verdict(kind: SubjectKind, subject: str, score: float, batch: EventBatch, row: int, now: float) -> Verdict:
    text, host = _text(batch, row), _host(batch, row)
    return Verdict(
        id=verdict_id(EndpointDetector.name, kind, subject, now, REVISION),
        time=now,
        detector=EndpointDetector.name,
        kind=kind,
        subject=subject,
        score=score,
        threshold=EndpointDetector.threshold,
        evidence=(f"credentials dumped on {host or 'an unnamed host'}: {text}", f"told by {batch.source.text(row)}"),
        technique=judge(text)[1],
        model=REVISION,
        since=float(batch.time[row]),
        address=batch.address.text(row),
        session=batch.session.text(row),
    )


def _suspect(batch: EventBatch) -> np.typing.NDArray[np.bool_]:
    """Rows with a word that a pattern may begin with; looked for once in each distinct text."""
    suspect = np.zeros(len(batch), np.bool_)
    for name in _READ:
        words: Words = getattr(batch, name)
        hints = np.fromiter((_HINT.search(text) is not None for text in words.values), np.bool_, len(words.values))
        suspect |= hints[words.codes]
    return suspect


def _text(batch: EventBatch, row: int) -> str:
    return " ".join(filter(None, (getattr(batch, name).text(row) for name in _READ)))


def _principal(batch: EventBatch, row: int) -> str:
    return batch.subject.text(row) or batch.actor.text(row)


def _host(batch: EventBatch, row: int) -> str:
    return batch.peer.text(row) or batch.address.text(row)
