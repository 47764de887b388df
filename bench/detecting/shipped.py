"""Captures played past the pipeline that ships: its models learnt from the simulator alone, none of these rows."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bench.detecting.scores import Figures
from detectors import Pipeline, Shelf, Verdict, default_pipeline
from detectors.models import TASKS, add, promote, simulated, train
from telemetry import EventBatch, concatenate, read_file

STEP = 1.0  # seconds of events that are judged together; a verdict's time is that of the last of them


def pipeline(seed: int) -> Pipeline:
    """As on a first start, but its models learnt with a seed; it knows nobody yet."""
    return default_pipeline(_models(seed))


@cache
def _models(seed: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="portcullis-bench-"))
    shelf = Shelf(folder)
    for task in TASKS.values():
        revision = add(shelf, train(task, seed, simulated(task, seed)))
        promote(shelf, revision, time=time.time(), by="bench", reason=f"seed {seed}", force=True)
    return folder


def read(paths: Sequence[Path]) -> EventBatch:
    """Everything in some files, in the order of time."""
    batch = concatenate([batch for path in paths for batch in read_file(path)])
    return batch.take(np.argsort(batch.time, kind="stable"))


def play(judge: Pipeline, batch: EventBatch) -> list[Verdict]:
    """What a pipeline says of events while they come, second by second of their own time."""
    cuts = np.flatnonzero(np.diff(np.floor((batch.time - batch.time[0]) / STEP))) + 1
    parts = (batch.take(rows).compact() for rows in np.split(np.arange(len(batch)), cuts))
    return [verdict for part in parts for verdict in judge.process([part], float(part.time[-1]))]


def counted(name: str, verdicts: Sequence[Verdict]) -> Figures:
    """How many there are, of each technique too, and of how many subjects."""
    techniques = Counter(verdict.technique or "unnamed" for verdict in verdicts)
    found = {f"{name}_verdicts_{technique}": float(count) for technique, count in sorted(techniques.items())}
    subjects = {verdict.subject for verdict in verdicts}
    return {f"{name}_verdicts": float(len(verdicts)), f"{name}_subjects": float(len(subjects))} | found
