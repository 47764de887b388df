"""Rejects are what sources said that we could not use: counted by source and reason, the latest kept to be seen."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec
import prometheus_client
import structlog

from telemetry.few_names import FewNames

_SHOWN_TEXT = 1024  # characters of a refused line that are kept in memory
_KEPT_TEXT = 16 * 1024  # and in the file, whose lines can be read again
_MAX_FILE = 64 * 1024 * 1024  # bytes; then the file becomes FILE.1 and a new one begins
_QUEUE = 4096  # rejects that wait for the disk

_REJECTED = prometheus_client.Counter(
    "portcullis_telemetry_rejected_total", "Input that could not be used", ["source", "reason"]
)
_UNWRITTEN = prometheus_client.Counter(
    "portcullis_telemetry_rejects_unwritten_total", "Rejects counted but not written to the file: disk slow or failing"
)
_log = structlog.get_logger()


class Reject(msgspec.Struct, frozen=True):
    """One refused line or row: its first 16,384 characters, in memory 1,024."""

    time: float
    source: str
    reason: str
    text: str
    cut: bool = False  # there was more


class Rejects:
    """The latest rejects in memory and the count of all; with a `path` they go to a file too, from a thread of its own.

    Use as a context manager, or `close`, to end that thread once it has written what waits.
    """

    def __init__(self, keep: int = 1000, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.latest: deque[Reject] = deque(maxlen=keep)
        self.counts: Counter[tuple[str, str]] = Counter()  # by source and reason
        self._clock = clock
        self._name = FewNames()
        self._lock = threading.Lock()  # parsers run in threads
        self._file = _RejectsFile(path) if path else None

    def add(self, source: str, reason: str, text: bytes | str) -> None:
        """Count and keep one. Never blocks; any thread may call it."""
        if isinstance(text, bytes):
            text = text[: 4 * _KEPT_TEXT].decode(errors="backslashreplace")
        reject = _cut(Reject(self._clock(), source[:_SHOWN_TEXT], reason, text), _KEPT_TEXT)
        self.count(source, reason, 1)
        self.latest.append(_cut(reject, _SHOWN_TEXT))
        if self._file:
            self._file.add(reject)

    def count(self, source: str, reason: str, count: int) -> None:
        """Count some without keeping them."""
        with self._lock:
            name = self._name(source)
            self.counts[name, reason] += count
        _REJECTED.labels(name, reason).inc(count)

    def total(self) -> int:
        """How many there were."""
        return self.counts.total()

    def close(self) -> None:
        """Write what waits and end the thread."""
        if self._file:
            self._file.close()
            self._file = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _cut(reject: Reject, size: int) -> Reject:
    return reject if len(reject.text) <= size else msgspec.structs.replace(reject, text=reject.text[:size], cut=True)


class _RejectsFile:
    """JSON lines, owner-only, in two files at most of _MAX_FILE bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: queue.Queue[Reject | None] = queue.Queue(_QUEUE)
        self._failing = False
        self._thread = threading.Thread(target=self._write_all, name="rejects", daemon=True)
        self._thread.start()

    def add(self, reject: Reject) -> None:
        try:
            self._waiting.put_nowait(reject)
        except queue.Full:
            _UNWRITTEN.inc()

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _write_all(self) -> None:
        while (reject := self._waiting.get()) is not None:
            try:
                self._write(reject)
                self._failing = False
            except OSError as error:
                _UNWRITTEN.inc()
                if not self._failing:
                    _log.warning("rejects not written", path=str(self._path), error=str(error))
                self._failing = True

    def _write(self, reject: Reject) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(msgspec.json.encode(reject) + b"\n")
            full = file.tell() >= _MAX_FILE
        if full:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
