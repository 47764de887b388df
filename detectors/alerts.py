"""Judges addresses by what sensors already said of them: severity, and repetition within a minute."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from detectors.arrays import CPU
from detectors.detector import NO_SCORES, Scores, last_rows
from detectors.features import Clocks, Damped, Key, by_address
from detectors.judgement import verdict_id
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind

REVISION = "rule:eve-severity"
_SCALE = 60.0  # seconds
# Chance that one alert of a severity (0 unknown, 1 low … 4 critical) means an attack; they add up as if independent
_CHANCE = np.array([0.1, 0.05, 0.2, 0.9, 0.98])
_WEIGHT = -np.log1p(-_CHANCE)
_SEVERITIES = ("unknown", "low", "medium", "high", "critical")
_TECHNIQUE = re.compile(r"\b(AML\.T\d{4}(?:\.\d{3})?|T\d{4}(?:\.\d{3})?)\b")
_WORDS = (
    (re.compile(r"scan|nmap|masscan|sweep", re.IGNORECASE), "T1046"),
    (re.compile(r"brute|password guess", re.IGNORECASE), "T1110"),
    (re.compile(r"exploit|cve-\d", re.IGNORECASE), "T1190"),
    (re.compile(r"mimikatz|lsass|credential dump", re.IGNORECASE), "T1003"),
)


class AlertDetector:
    """A rule, not a model: 1 - product of (1 - chance), each alert fading with a minute's time scale."""

    name = "alert"
    kind = Kind.ALERT
    threshold = 0.8

    def __init__(self, capacity: int = 16_384) -> None:
        self.capacity = capacity
        self._clocks = Clocks(capacity, CPU)
        self._sums = Damped(capacity, 2, (_SCALE,), CPU)  # weights and number of alerts

    def learn(self, batch: EventBatch) -> None:
        """Take in alerts."""
        if len(batch):
            turn = self._clocks.turn(by_address(batch), batch.time)
            self._sums.add(turn, [_WEIGHT[np.minimum(batch.severity, 4)], np.ones(len(batch))])

    def score(self, batch: EventBatch) -> Scores:
        """Each source address of the batch."""
        if not len(batch):
            return NO_SCORES
        groups = by_address(batch)
        values = -np.expm1(-self._damped(groups.keys)[:, 0])
        scores = Scores(groups.keys, values, _telling(batch, groups.of_row, len(groups.keys)))
        return scores.take([place for place, key in enumerate(groups.keys) if key[1]])

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts that quote the most severe alert."""
        numbers = self._damped(scores.keys)[:, 1]
        return [self._verdict(scores, place, batch, now, float(numbers[place])) for place in range(len(scores))]

    def _verdict(self, scores: Scores, place: int, batch: EventBatch, now: float, number: float) -> Verdict:
        row, address = int(scores.rows[place]), scores.keys[place][1]
        severity = _SEVERITIES[min(int(batch.severity[row]), 4)]
        return Verdict(
            id=verdict_id(self.name, "address", address, now, REVISION),
            time=now,
            detector=self.name,
            kind="address",
            subject=address,
            score=float(scores.values[place]),
            threshold=self.threshold,
            evidence=(
                f"{batch.source.text(row)} raised an alert of {severity} severity: {batch.name.text(row)}",
                f"about {number:.0f} alerts about it in the last minute",
            ),
            technique=technique(batch.name.text(row), batch.action.text(row)),
            model=REVISION,
            since=float(batch.time[row]),
            address=address,
            session=batch.session.text(row),
        )

    def _damped(self, keys: Sequence[Key]) -> np.typing.NDArray[np.float64]:
        slots = self._clocks.subjects.find(keys)
        sums: np.typing.NDArray[np.float64] = np.where(slots[:, None] < 0, 0.0, self._sums.sums[slots, :, 0])
        return sums


def technique(name: str, category: str) -> str:
    """The ATT&CK or ATLAS id that an alert's own words give or suggest; empty where they do not."""
    for text in (name, category):
        given = _TECHNIQUE.search(text)
        if given:
            return given[1]
    return next((known for words, known in _WORDS if words.search(name) or words.search(category)), "")


def _telling(batch: EventBatch, of_row: np.typing.NDArray[np.int64], count: int) -> np.typing.NDArray[np.int64]:
    """Each group's most severe row, the last of several."""
    order = np.argsort(batch.severity, kind="stable")
    return order[last_rows(of_row[order], count)]
