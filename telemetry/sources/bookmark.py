"""A bookmark is a note on disk of how far a file was read, for who reads on after a restart."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
import prometheus_client
import structlog

_UNNOTED = prometheus_client.Counter(
    "portcullis_telemetry_tail_unnoted_total", "Positions in a file that the disk did not take", ["source"]
)
_LOST = prometheus_client.Counter(
    "portcullis_telemetry_tail_lost_total", "Files of which we missed the end: replaced while we were away", ["source"]
)
_log = structlog.get_logger()


class Position(msgspec.Struct, frozen=True):
    """Up to where a file was read."""

    device: int
    inode: int
    offset: int  # bytes

    def is_in(self, status: os.stat_result) -> bool:
        """Whether it lies in this file."""
        return (self.device, self.inode) == (status.st_dev, status.st_ino) and self.offset <= status.st_size


class Bookmark:
    """Kept at `note`; nowhere if that is None. Blocks: for a thread."""

    def __init__(self, note: Path | None, source: str) -> None:
        self._note = note
        self._source = source
        self._noted: Position | None = None

    def put(self, position: Position | None) -> None:
        """Note it, if it is new. A disk that does not take it stops nothing: the next call tries again."""
        if self._note is None or position is None or position == self._noted:
            return
        fresh = self._note.with_suffix(".new")
        try:
            self._note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.encode(position))
            fresh.replace(self._note)
            self._noted = position
        except OSError:
            _UNNOTED.labels(self._source).inc()

    def read(self) -> Position | None:
        """What was noted; None if nothing was, or it cannot be read."""
        if self._note is None:
            return None
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Position)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("position unreadable, file read from its end", source=self._source, error=str(error))
            return None

    def former(self, position: Position, path: Path) -> Path | None:
        """The file of this position, once at `path`, whatever it is called in its folder now."""
        with suppress(OSError):
            for candidate in (path, *path.parent.iterdir()):
                with suppress(OSError):
                    if position.is_in(candidate.stat()):
                        return candidate
        _LOST.labels(self._source).inc()
        _log.warning("file replaced while we were away, its end is lost", source=self._source, path=str(path))
        return None
