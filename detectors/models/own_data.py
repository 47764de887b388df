"""A bank's own traffic to learn from and to be judged by: files of events with labels beside them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU
from detectors.features.hashing import KEY
from detectors.models.card import DataFile
from detectors.models.labels import Mask, beside, hostile, read_labels
from detectors.models.refused import DataRefused
from detectors.models.tasks import Task
from detectors.models.traffic import Parts, Stretch
from detectors.simulator import Labelled
from telemetry import HISTORY, EventBatch, UnknownFormat, cleanse, concatenate, read_file

_SHARES = (0.6, 0.8)  # of the subjects: up to here training, up to here validation, the rest test
_FEWEST = {"attackers": 2, "honest subjects": 10}  # that each part must have
_ROWS = 8192  # of one batch: features take no more at once
Rows = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class OwnData:
    """Events of one task's kind about known subjects, in the order of time, with the truth beside them."""

    batch: EventBatch
    hostile: Mask
    files: tuple[DataFile, ...]

    @property
    def source(self) -> str:
        """The files' names."""
        return ", ".join(file.name for file in self.files)

    def whole(self, task: Task) -> Stretch:
        """All of it, to be judged by."""
        return self._stretch(task, self.source, np.arange(len(self.batch)))

    def parts(self, task: Task, seed: int) -> Parts:
        """Three parts by subject, so that nobody is in two; the seed decides who is where.

        Raises DataRefused where a part would have fewer than 2 attackers or 10 honest subjects.
        """
        groups = task.groups(self.batch, CPU, KEY)
        attacks = np.bincount(groups.of_row, self.hostile, len(groups.hashes)) > 0
        part_of = np.zeros(len(attacks), np.int64)
        lots = [_lot(task.subject(self.batch, row), seed) for row in groups.last.tolist()]
        for what, who in (("attackers", attacks), ("honest subjects", ~attacks)):
            part_of[who] = self._dealt(what, np.array(lots)[who])
        names = ("training", "validation", "test")
        training, validation, test = (
            self._stretch(task, f"{self.source}: {name} subjects", np.flatnonzero(part_of[groups.of_row] == part))
            for part, name in enumerate(names)
        )
        return Parts(training, validation, test)

    def _dealt(self, what: str, lots: NDArray[np.str_]) -> Rows:
        """The part of each, by the order of their lots."""
        cuts = [round(len(lots) * share) for share in _SHARES]
        fewest = min(cuts[0], cuts[1] - cuts[0], len(lots) - cuts[1])
        if fewest < _FEWEST[what]:
            raise DataRefused(
                f"{self.source}: {len(lots)} {what}: a part would have {fewest}, and {_FEWEST[what]} are needed"
            )
        parts = np.empty(len(lots), np.int64)
        parts[np.argsort(lots)] = np.searchsorted(cuts, np.arange(len(lots)), side="right")
        return parts

    def _stretch(self, task: Task, source: str, rows: Rows) -> Stretch:
        return Stretch(source, lambda: _played(self.batch.take(rows), self.hostile[rows], task.step), self.files)


def read(files: Sequence[Path], task: Task, now: float) -> OwnData:
    """Read files of events (EVE, Zeek, JSON lines, a capture; also gzipped) with FILE.labels beside each.

    All of it is held in memory. Raises DataRefused.
    """
    parts = [_file(file, task, now) for file in files]
    batch = concatenate([part.batch for part in parts])
    if not len(batch):
        raise DataRefused(f"{', '.join(map(str, files))}: no event that a model of {task.schema.name} reads")
    order = np.argsort(batch.time, kind="stable")
    truth = np.concatenate([part.hostile for part in parts])[order]
    return OwnData(batch.take(order), truth, tuple(file for part in parts for file in part.files))


def _file(file: Path, task: Task, now: float) -> OwnData:
    labels, said = read_labels(beside(file))
    try:
        reading, digest = read_file(file), hashlib.sha256(file.read_bytes()).hexdigest()
        clean, refused = cleanse(concatenate(list(reading)), now, HISTORY)
    except (UnknownFormat, OSError) as error:
        raise DataRefused(str(error)) from error
    truth = hostile(labels, clean, beside(file))
    mine = (clean.kind == task.kind) & task.about_somebody(clean)
    left_out = Counter(reading.malformed)
    left_out.update({part.reason: len(part.rows) for part in refused})
    left_out.update({"of another kind, or about nobody": int((~mine).sum())})
    told = DataFile(
        name=file.name,
        sha256=digest,
        labels=hashlib.sha256(said).hexdigest(),
        events=int(mine.sum()),
        hostile=int(truth[mine].sum()),
        left_out={reason: count for reason, count in sorted(left_out.items()) if count},
    )
    return OwnData(clean.take(mine), truth[mine], (told,))


def _lot(subject: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}\0{subject}".encode("utf-8", "surrogatepass")).hexdigest()


def _played(batch: EventBatch, hostile: Mask, step: float) -> Iterator[Labelled]:
    """In batches of `step` seconds, each of at most _ROWS rows; empty steps are left out."""
    if not len(batch):
        return
    ticks = np.floor((batch.time - batch.time[0]) / step)
    for rows in np.split(np.arange(len(batch)), np.flatnonzero(np.diff(ticks)) + 1):
        for start in range(rows[0], rows[-1] + 1, _ROWS):
            part = slice(start, min(start + _ROWS, rows[-1] + 1))
            yield Labelled(batch.take(part).compact(), hostile[part])
