"""Judges addresses by what sensors already said of them: severity, and repetition within a minute."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU
from detectors.detector import NO_SCORES, Mask, Scores, State, of_kind
from detectors.features import Damped, Groups, Table, blank, by_address, take_turn
from detectors.features.hashing import KEY
from detectors.judgement import on_address
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

    def __init__(self, capacity: int = 16_384, key: int = KEY) -> None:
        self.capacity = capacity
        self._key = key
        self._table = Table(capacity, CPU)
        self._sums = Damped(capacity, 2, (_SCALE,), CPU)  # weights and number of alerts

    def mine(self, batch: EventBatch) -> Mask:
        """Alerts about an address."""
        return of_kind(batch, self.kind) & ~blank(batch.address)

    def learn(self, batch: EventBatch) -> None:
        """Take in alerts."""
        if len(batch):
            turn = take_turn(self._table, by_address(batch, CPU, self._key), batch.time, CPU)
            weights = _WEIGHT[np.minimum(batch.severity, 4)][turn.order]
            self._table.adverse[turn.slots] += np.bincount(turn.group, weights, len(turn.slots))
            self._sums.add(turn, [weights, np.ones(len(batch), np.bool_)])

    def score(self, batch: EventBatch) -> Scores:
        """Each source address of the batch."""
        if not len(batch):
            return NO_SCORES
        groups = by_address(batch, CPU, self._key)
        values = -np.expm1(-self._damped(groups.hashes)[:, 0])
        return Scores(groups.hashes, values, _telling(batch, groups))

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts that quote the most severe alert."""
        numbers = self._damped(scores.hashes)[:, 1]
        return [self._verdict(scores, place, batch, now, float(numbers[place])) for place in range(len(scores))]

    def state(self) -> State:
        """The alerts that still count."""
        return self._table.state(self._table.held(), {"sums": self._sums.sums})

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        self._table.restore(state, {"sums": self._sums.sums})

    def _verdict(self, scores: Scores, place: int, batch: EventBatch, now: float, number: float) -> Verdict:
        row = int(scores.rows[place])
        severity = _SEVERITIES[min(int(batch.severity[row]), 4)]
        evidence = (
            f"{batch.source.text(row)} raised an alert of {severity} severity: {batch.name.text(row)}",
            f"about {number:.0f} alerts about it in the last minute",
        )
        return on_address(
            self,
            scores,
            place,
            batch,
            now,
            evidence=evidence,
            technique=technique(batch.name.text(row), batch.action.text(row)),
            model=REVISION,
            since=float(batch.time[row]),
        )

    def _damped(self, hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
        slots = self._table.find(hashes)
        sums: NDArray[np.float64] = np.where(slots[:, None] < 0, 0.0, self._sums.sums[slots, 0].astype(float))
        return sums


@lru_cache(4096)
def technique(name: str, category: str) -> str:
    """The ATT&CK or ATLAS id that an alert's own words give or suggest; empty where they do not."""
    for text in (name, category):
        given = _TECHNIQUE.search(text)
        if given:
            return given[1]
    return next((known for words, known in _WORDS if words.search(name) or words.search(category)), "")


def _telling(batch: EventBatch, groups: Groups) -> NDArray[np.int64]:
    """Each group's most severe row, the last of several."""
    order = np.argsort(batch.severity, kind="stable")
    rows = np.zeros(len(groups.hashes), np.int64)
    rows[groups.of_row[order]] = order  # of equal places the last one stays
    return rows
