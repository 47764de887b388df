"""Labels beside a file of events: who was hostile, from when until when. FILE.labels has one JSON object a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.models.refused import DataRefused
from telemetry import EventBatch, Words

MOST = 10_000  # labels of one file; each is looked for in all its events
_WHOM = ("subject", "actor", "session", "address", "peer", "resource", "name")
_LARGEST = 16 * 1024 * 1024  # bytes
Mask = NDArray[np.bool_]


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events are hostile whose texts are these (all that are given, at least one) within this time."""

    subject: str = ""
    actor: str = ""
    session: str = ""
    address: str = ""
    peer: str = ""
    resource: str = ""
    name: str = ""
    since: float | str = -math.inf  # Unix seconds or ISO 8601 (UTC where it names no zone), as the next
    until: float | str = math.inf
    note: str = ""  # for people

    def matches(self, batch: EventBatch) -> Mask:
        """Which rows it calls hostile."""
        mask = (batch.time >= _seconds(self.since)) & (batch.time <= _seconds(self.until))
        for whom in _WHOM:
            if text := getattr(self, whom):
                mask &= _is(getattr(batch, whom), text)
        return mask


def beside(file: Path) -> Path:
    """Where the labels of a file lie."""
    return file.with_name(f"{file.name}.labels")


def read_labels(path: Path) -> tuple[Sequence[Label], bytes]:
    """The labels, and the file as it lies; an empty file says that all is honest. Raises DataRefused."""
    try:
        if path.stat().st_size > _LARGEST:
            raise DataRefused(f"{path}: larger than {_LARGEST} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise DataRefused(f"{path}: {error.strerror}") from error
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if len(lines) > MOST:
        raise DataRefused(f"{path}: {len(lines)} labels, the limit is {MOST}")
    return [_label(path, number, line) for number, line in lines], data


def hostile(labels: Sequence[Label], batch: EventBatch, path: Path) -> Mask:
    """Which rows are hostile. Raises DataRefused for a label that is about none: it does not say what was meant."""
    found = np.zeros(len(batch), np.bool_)
    for label in labels:
        rows = label.matches(batch)
        if not rows.any():
            raise DataRefused(f"{path}: no event is what this label says: {msgspec.json.encode(label).decode()}")
        found |= rows
    return found


def _label(path: Path, number: int, line: bytes) -> Label:
    try:
        label = msgspec.json.decode(line, type=Label)
        _seconds(label.since), _seconds(label.until)
    except (ValueError, OverflowError, RecursionError) as error:  # of msgspec, too
        raise DataRefused(f"{path}:{number}: not a label: {error}") from error
    if not any(getattr(label, whom) for whom in _WHOM):
        raise DataRefused(f"{path}:{number}: says of nobody that it is hostile; give one of {', '.join(_WHOM)}")
    return label


def _seconds(time: float | str) -> float:
    if isinstance(time, str):
        moment = datetime.fromisoformat(time)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(time)


def _is(words: Words, text: str) -> Mask:
    return np.fromiter((value == text for value in words.values), np.bool_, len(words.values))[words.codes]
