"""Rules over columns, for a whole batch: each text is looked at once, each rule is a comparison of bits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.attack_steps import Step
from detectors.features.remembered import Remembered
from telemetry import EventBatch, Words

_MOST = 64  # patterns of one column: one bit each
Bits = NDArray[np.uint64]
Mask = NDArray[np.bool_]


class Patterns:
    """What is looked for in one column: a bit for each pattern."""

    def __init__(self, patterns: Sequence[str]) -> None:
        if len(patterns) > _MOST:
            raise ValueError(f"{len(patterns)} patterns of one column, the limit is {_MOST}")
        self._patterns = [re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in patterns]

    def __call__(self, texts: Sequence[str]) -> tuple[Bits]:
        """[texts] the bits of those that are found."""
        return (np.fromiter(map(self._bits, texts), np.uint64, len(texts)),)

    def _bits(self, text: str) -> int:
        return sum(1 << place for place, pattern in enumerate(self._patterns) if pattern.search(text))


class StepRules:
    """Steps, and what is remembered of the texts of each column that they read."""

    def __init__(self, steps: Sequence[Step], capacity: int, key: int) -> None:
        wanted: dict[str, dict[str, int]] = defaultdict(dict)  # of each column, the bit of each pattern
        for step in steps:
            for column, pattern in (*step.when.items(), *step.unless.items()):
                wanted[column].setdefault(pattern, len(wanted[column]))
        self._memory = {
            column: Remembered(capacity, key, (np.uint64,), Patterns(tuple(patterns)))
            for column, patterns in wanted.items()
        }
        self._steps = [(_needed(step.when, wanted), _needed(step.unless, wanted)) for step in steps]

    @property
    def looked(self) -> int:
        """Texts that patterns were looked for in so far."""
        return sum(memory.looked for memory in self._memory.values())

    def found(self, batch: EventBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and the places of steps that are found there, rows in order; of a batch in the order of time."""
        bits = {column: self._bits(column, getattr(batch, column), batch) for column in self._memory}
        pairs = [
            (rows, np.full(len(rows), place))
            for place, (when, unless) in enumerate(self._steps)
            if len(rows := np.flatnonzero(_holds(bits, when, unless)))
        ]
        if not pairs:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows, places = (np.concatenate(column) for column in zip(*pairs, strict=True))
        order = np.argsort(rows, kind="stable")
        return rows[order], places[order]

    def _bits(self, column: str, words: Words, batch: EventBatch) -> Bits:
        bits: Bits = self._memory[column].of(words, float(batch.time[-1]))[0]
        return bits


def _needed(patterns: Mapping[str, str], wanted: Mapping[str, Mapping[str, int]]) -> list[tuple[str, np.uint64]]:
    return [(column, np.uint64(1 << wanted[column][pattern])) for column, pattern in patterns.items()]


def _holds(
    bits: Mapping[str, Bits], when: Sequence[tuple[str, np.uint64]], unless: Sequence[tuple[str, np.uint64]]
) -> Mask:
    column, bit = when[0]
    holds: Mask = (bits[column] & bit) != 0
    for column, bit in when[1:]:
        holds &= (bits[column] & bit) != 0
    for column, bit in unless:
        holds &= (bits[column] & bit) == 0
    return holds
