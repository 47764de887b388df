"""Follows a growing file as its writer goes on: begun later, cut off, replaced by a new one, or while we were away."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import prometheus_client
import structlog

from telemetry.event import EventBatch
from telemetry.malformed import Parse
from telemetry.rejects import Rejects
from telemetry.sources.bookmark import Bookmark, Position
from telemetry.sources.lines import Harvest, LineSplitter, parse_block

INTERVAL = 0.05  # seconds between looks at an idle file
_PIECE = 4 * 1024 * 1024  # bytes read and parsed at a time: some milliseconds of the thread
_HEADER = 64 * 1024  # bytes at the head of a file in which its comment lines are looked for

_ERRORS = prometheus_client.Counter("portcullis_telemetry_tail_errors_total", "Failed looks at a file", ["source"])
_log = structlog.get_logger()


async def follow(
    path: Path,
    parse: Parse,
    publish: Callable[[EventBatch], None],
    stop: asyncio.Event,
    *,
    source: str,
    rejects: Rejects,
    from_start: bool = False,
    position: Path | None = None,
    on_look: Callable[[], None] = lambda: None,
) -> None:
    """Publish the file's lines as events until `stop`; reading and parsing run in a thread.

    A file that is there already is read from its end, or from its start if `from_start`; one that appears later, or
    replaces it, from its start. `on_look` is called after each look. A file that is cut off, and has grown beyond its
    old size before the next look, is taken for the old one.

    In the file `position` is kept up to where lines were published; the next one goes on from there, in a file that was
    renamed meanwhile too. What was published and not yet noted when the process was killed is published again.
    Raises what `parse` or `publish` raises; what they were given is not read again.
    """
    tail = _Tail(path, parse, source, from_start, position)
    try:
        while not stop.is_set():
            more = await _look(tail, publish, rejects)
            on_look()
            if not more:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), INTERVAL)
    finally:
        await asyncio.to_thread(tail.end)


async def _look(tail: _Tail, publish: Callable[[EventBatch], None], rejects: Rejects) -> bool:
    """One piece of the file; whether there may be more at once."""
    try:
        harvest, more = await asyncio.to_thread(tail.read)
    except OSError as error:
        _ERRORS.labels(tail.source).inc()
        tail.complain(error)
        return False
    except Exception:
        tail.settle()
        raise
    tail.settle()
    harvest.count(tail.source, rejects)
    if len(harvest.batch):
        publish(harvest.batch)
    return more


class _Tail:
    """Where we are in which file. Blocks: for a thread."""

    def __init__(self, path: Path, parse: Parse, source: str, from_start: bool, position: Path | None) -> None:
        self.source = source
        self._bookmark = Bookmark(position, source)
        self._resumed = False
        self._done: Position | None = None  # up to where lines were published
        self._reached: Position | None = None  # up to where they were read
        self._lock = threading.Lock()  # a look that was cancelled may still run when we end
        self._path = path
        self._parse = parse
        self._from_start = from_start
        self._file: BinaryIO | None = None
        self._lines = LineSplitter()
        self._more = False
        self._complaint = ""

    def read(self) -> tuple[Harvest, bool]:
        """The next piece's harvest, and whether there is more. Raises OSError."""
        with self._lock:
            self._bookmark.put(self._done)
            block = b"".join(self._next_blocks())
            if self._file:
                status = os.fstat(self._file.fileno())
                self._reached = Position(status.st_dev, status.st_ino, self._file.tell() - self._lines.held)
        harvest = parse_block(block, self._parse, self.source)
        self._complaint = ""
        return harvest, self._more

    def settle(self) -> None:
        """What was read last is done with."""
        self._done = self._reached

    def end(self) -> None:
        """Note where we are, and let the file go."""
        with self._lock:
            self._close()
            self._bookmark.put(self._done)

    def complain(self, error: OSError) -> None:
        """Log an error once, not at every look."""
        if str(error) != self._complaint:
            _log.warning("cannot follow file", path=str(self._path), source=self.source, error=str(error))
        self._complaint = str(error)

    def _close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _next_blocks(self) -> Iterator[bytes]:
        self._more = False
        if self._file is None:
            yield from self._open()
        if self._file is None:
            return
        if self._was_cut():
            yield self._lines.end()
            self._file.seek(0)
        piece = self._file.read(_PIECE)
        yield self._lines.feed(piece)
        self._more = bool(piece)
        if not piece and self._was_replaced():
            yield self._lines.end()
            self._close()
            self._more = True

    def _open(self) -> Iterator[bytes]:
        """Open the file if it is there; yield the header lines of what is skipped."""
        earlier = None if self._resumed else self._bookmark.read()
        former = self._bookmark.former(earlier, self._path) if earlier else None
        try:
            self._file = (former or self._path).open("rb", buffering=0)
        except FileNotFoundError:
            self._from_start = self._resumed = True  # what appears from now on is new
            return
        whole, self._from_start, self._resumed = self._from_start or earlier is not None, True, True
        if former and earlier:
            yield from _skip(self._file, earlier.offset)
        elif not whole:
            yield from _skip(self._file, os.fstat(self._file.fileno()).st_size)

    def _was_cut(self) -> bool:
        return self._file is not None and os.fstat(self._file.fileno()).st_size < self._file.tell()

    def _was_replaced(self) -> bool:
        """Another file has our path, and it is there: a gap between rename and create is none."""
        if self._file is None:
            return False
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._file.fileno())
        return (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)


def _skip(file: BinaryIO, offset: int) -> Iterator[bytes]:
    """Go there; the header lines on the way."""
    head = file.read(min(_HEADER, offset)).split(b"\n")[:-1]
    yield b"".join(line + b"\n" for line in head if line.startswith(b"#"))
    file.seek(offset)
