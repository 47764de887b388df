"""Stretches of labelled traffic: played past features once, and counted and hashed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np

from detectors.models.card import DataFile, Traffic
from detectors.models.tasks import Task
from detectors.simulator import VERSION, Labelled
from telemetry import COLUMNS, EventBatch, Words

_T = TypeVar("_T")
HELD_OUT = 3  # parts 0 to 2 of a seed's traffic are training's


@dataclass(frozen=True, slots=True)
class Stretch:
    """Labelled traffic with the name of where it comes from. `play` makes it anew at each call."""

    source: str
    play: Callable[[], Iterable[Labelled]]
    files: tuple[DataFile, ...] = ()  # where it was recorded

    def watched(
        self, watch: Callable[[Iterable[Labelled]], _T], part: Literal["training", "validation", "test"]
    ) -> tuple[_T, Traffic]:
        """What somebody makes of it who watches it all, and what it was."""
        weight = _Weight()
        seen = watch(weight.passing(self.play()))
        sha256, events, hostile = weight.told()
        return seen, Traffic(part=part, source=self.source, sha256=sha256, events=events, hostile=hostile)


@dataclass(frozen=True, slots=True)
class Parts:
    """Three stretches that share no subject: to learn from, to calibrate and choose the threshold by, to test on."""

    training: Stretch
    validation: Stretch
    test: Stretch
    simulator: str = ""  # its version, where they come from it


def simulated(task: Task, seed: int) -> Parts:
    """A seed's traffic for training; each part has a seed of its own."""
    training, validation, test = (simulated_part(task, seed, number) for number in range(HELD_OUT))
    return Parts(training, validation, test, simulator=VERSION)


def simulated_part(task: Task, seed: int, number: int) -> Stretch:
    """One of a seed's parts, 0 to 9; from HELD_OUT on they are shorter."""
    own, play = seed * 10 + number, task.simulate if number < HELD_OUT else task.shorter
    return Stretch(f"simulator {VERSION}, seed {own}", lambda: play(own))


class _Weight:
    """Counts and hashes what passes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._events, self._hostile = 0, 0

    def passing(self, traffic: Iterable[Labelled]) -> Iterator[Labelled]:
        for labelled in traffic:
            self._hash.update(_laid_out(labelled.batch))
            self._hash.update(np.packbits(labelled.hostile).tobytes())
            self._events += len(labelled.hostile)
            self._hostile += int(labelled.hostile.sum())
            yield labelled

    def told(self) -> tuple[str, int, int]:
        return self._hash.hexdigest(), self._events, self._hostile


def _laid_out(batch: EventBatch) -> bytes:
    """Its columns as they lie in memory: how batches travel may change, and what a model was trained on does not."""
    return msgspec.msgpack.encode({name: _column(getattr(batch, name)) for name in COLUMNS})


def _column(column: Any) -> bytes | tuple[bytes, ...]:
    if not isinstance(column, Words):
        return bytes(column.tobytes())
    return column.codes.tobytes(), column.values.offsets.tobytes(), column.values.letters.tobytes()
