"""A pipeline that outlives its process: what it takes in stands in a journal first, what it knows in a checkpoint.

A worker that was killed reads its checkpoint, judges again what the journal holds after it, and is where it was: each
event counts once, and what it answers when the gateway sends a batch again is what it would have answered.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog
from prometheus_client import Counter

from detectors.arrays import FALLBACKS, Device
from detectors.checkpoint import Checkpoint, CheckpointRefused, Position
from detectors.journal import Entry, Journal
from detectors.pipeline import Pipeline
from detectors.verdict import Verdict
from detectors.wire import MOST_UNANSWERED, Batch
from telemetry import EventBatch, InvalidBatch

EVERY = 60.0  # seconds between checkpoints, at least
LARGEST = 1024 * 1024 * 1024  # bytes of journal after which one is written sooner
_TRIES = 3  # deaths at one entry of the journal after which it is left out

INVALID = Counter("portcullis_detectors_invalid_batches_total", "Batches that could not be read; answered, not judged")
REPLAYED = Counter("portcullis_detectors_replayed_total", "Entries of the journal judged again after a death")
AGAIN = Counter("portcullis_detectors_sent_again_total", "Batches that had been judged already; answered, not learnt")
CHECKPOINTS = Counter("portcullis_detectors_checkpoints_total", "Checkpoints written", ["outcome"])
UNWRITTEN = Counter("portcullis_detectors_unjournaled_total", "Batches judged that could not be written down")
LEFT_OUT = Counter("portcullis_detectors_left_out_total", "Entries of the journal left out: the process died of them")
REFUSED = Counter("portcullis_detectors_checkpoint_refused_total", "Starts with nothing known: a bad checkpoint")
_log = structlog.get_logger()
_TOLD = msgspec.msgpack.Decoder(list[Verdict])


class Recorded:
    """Judges batches for one gateway after the other, each with numbers of its own."""

    def __init__(self, pipeline: Pipeline, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._stream, self._number = "", 0
        self._told: deque[tuple[int, bytes]] = deque(maxlen=MOST_UNANSWERED)  # of the latest entries
        self._journal = Journal(folder)
        self._checkpoint = Checkpoint(folder)
        self._at_work = _AtWork(folder / "at-work")
        self._segment = 0  # of the journal, where the checkpoint that is being written begins
        self._written = clock()
        self._come_back()

    def judge(self, stream: str, batches: Sequence[Batch]) -> list[Verdict]:
        """Verdicts that these batches give rise to; for those judged before, what was answered then."""
        if stream != self._stream:
            self._stream, self._number = stream, 0
            self._told.clear()
        fresh = [batch for batch in batches if batch.number > self._number]
        known = {batch.number for batch in batches} - {batch.number for batch in fresh}
        AGAIN.inc(len(known))
        verdicts = [verdict for number, told in self._told if number in known for verdict in _TOLD.decode(told)]
        if fresh:
            verdicts += self._take_in(fresh)
        self._keep()
        return verdicts

    def look(self) -> None:
        """Load models that were promoted meanwhile. For a thread beside the one that judges."""
        self._pipeline.look()

    def close(self) -> None:
        """Let go of the files."""
        self._journal.close()
        self._at_work.close()

    def _take_in(self, batches: Sequence[Batch]) -> list[Verdict]:
        entry = Entry(self._stream, batches[-1].number, self._clock(), [batch.data for batch in batches])
        try:
            self._journal.append(entry)
        except OSError as error:
            UNWRITTEN.inc(len(batches))
            _log.error("journal not written", error=str(error))
        return self._apply(entry)

    def _apply(self, entry: Entry) -> list[Verdict]:
        self._at_work.begin(entry)
        events = [events for data in entry.batches if (events := _events(data, entry.number)) is not None]
        verdicts = self._pipeline.process(events, entry.now)
        self._stream, self._number = entry.stream, entry.number
        self._told.append((entry.number, msgspec.msgpack.encode(verdicts)))
        self._at_work.end()
        return verdicts

    def _come_back(self) -> None:
        try:
            last = self._checkpoint.read()
        except CheckpointRefused as error:
            REFUSED.inc()
            _log.error("checkpoint refused", error=str(error))
            last = None
        position = last[0] if last else Position(0)
        if last:
            self._stream, self._number = position.stream, position.number
            self._told.extend(last[1])
            self._pipeline.restore(last[2])
        for entry in self._journal.entries(position.segment):
            if entry.stream != self._stream:
                self._told.clear()
            if self._at_work.tries(entry) >= _TRIES:
                LEFT_OUT.inc()
                _log.error("entry left out", stream=entry.stream, number=entry.number)
                self._stream, self._number = entry.stream, entry.number
                continue
            REPLAYED.inc()
            self._apply(entry)

    def _keep(self) -> None:
        """Begin a checkpoint when one is due; take it over when it is written."""
        written = self._checkpoint.ended()
        if written is not None:
            CHECKPOINTS.labels("written" if written else "failed").inc()
            if written:
                self._journal.drop_before(self._segment)
        due = self._clock() - self._written >= EVERY or self._journal.size >= LARGEST
        if due and not self._checkpoint.writing:
            self._written = self._clock()
            self._segment = self._journal.begin_segment()
            position = Position(self._segment, self._stream, self._number)
            self._checkpoint.begin(position, list(self._told), self._pipeline.states)


def device_after(folder: Path, asked: Device) -> Device:
    """Where to work from here on: on the CPU if the process before died at work on a GPU, which may be gone, or full.

    It takes up where the other one was, and the GPU is tried again at the start after this one. Logged and counted.
    """
    at_work = _AtWork(folder / "at-work")
    died = at_work.begun
    at_work.close()
    if asked == "cpu" or not died:
        return asked
    FALLBACKS.inc()
    _log.warning("no_gpu", answer="using the CPU", why="the process before died at work on it")
    return "cpu"


class _AtWork:
    """Which entry is being judged, and how often that was begun: to be read after a death of it."""

    _FORMAT = struct.Struct("<QQ")  # the entry, tries

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        held = os.pread(self._file, self._FORMAT.size, 0)
        self._last = self._FORMAT.unpack(held) if len(held) == self._FORMAT.size else (0, 0)

    @property
    def begun(self) -> bool:
        """Whether a process died at some entry."""
        return bool(self._last[1])

    def tries(self, entry: Entry) -> int:
        """How many processes died at it."""
        return self._last[1] if self._last[0] == _key(entry) else 0

    def begin(self, entry: Entry) -> None:
        os.pwrite(self._file, self._FORMAT.pack(_key(entry), self.tries(entry) + 1), 0)

    def end(self) -> None:
        os.pwrite(self._file, self._FORMAT.pack(0, 0), 0)

    def close(self) -> None:
        os.close(self._file)


def _key(entry: Entry) -> int:
    return zlib.crc32(entry.stream.encode()) << 32 | entry.number & 0xFFFFFFFF


def _events(data: bytes, number: int) -> EventBatch | None:
    try:
        return EventBatch.from_bytes(data)
    except InvalidBatch as error:
        INVALID.inc()
        _log.error("invalid_batch", number=number, error=str(error))
        return None
