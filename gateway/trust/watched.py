"""A value that stands in files, and is read again when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from prometheus_client import Counter

T = TypeVar("T")
_LARGEST = 16 << 20  # bytes of one file
_READS = Counter("portcullis_gateway_file_reads_total", "Files read because they changed", ["file", "result"])
_log = structlog.get_logger()


class Watched(Generic[T]):
    """What `read` makes of the files' contents: a value, or a text that says what is wrong with them. Then the last
    good value stays, and the fault is logged and counted.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[..., T | str]) -> None:
        self.value: T | None = None  # none until the files could be read
        self._paths = paths
        self._read = read
        self._seen: list[object] = []

    def look(self) -> None:
        """Read again if a file changed since the last look. Blocks on the disk."""
        seen: list[object] = [_signature(path) for path in self._paths]
        if seen != self._seen:
            # Noted before the files are read: what changes meanwhile is seen as a change at the next look.
            self._seen = seen
            self._take(self._fresh())

    def _fresh(self) -> T | str:
        try:
            return self._read(*(_content(path) for path in self._paths))
        except (OSError, ValueError) as error:
            return str(error)

    def _take(self, fresh: T | str) -> None:
        files = ", ".join(map(str, self._paths))
        _READS.labels(files, "failed" if isinstance(fresh, str) else "ok").inc()
        if isinstance(fresh, str):
            kept = "nothing" if self.value is None else "the last good one"
            _log.error("file cannot be used", files=files, error=fresh, kept=kept)
        else:
            self.value = fresh


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"{path} has more than {_LARGEST} bytes")
    return content


async def by_period(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    """Look, again and again, until cancelled."""
    while True:
        await look()
        await asyncio.sleep(seconds)
