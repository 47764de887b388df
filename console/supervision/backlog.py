"""Lines on their way to a terminal or a pipe that may stop reading: never more than so many, written by a thread."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LINES = 1000  # that may wait; the oldest beyond them are dropped, and counted
_LAST_WORDS = 1.0  # seconds at the end for what still waits


class Backlog:
    """What waits to be written. When it is full, the oldest line goes and is counted."""

    def __init__(self, limit: int = LINES) -> None:
        self._waiting: deque[str] = deque(maxlen=limit)
        self._dropped = 0

    def add(self, line: str) -> None:
        """Append a line."""
        self._dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(line)

    def take(self) -> list[str]:
        """All that waits, oldest first, after a line on what was dropped before it."""
        dropped = [f"… {self._dropped} lines dropped"] if self._dropped else []
        taken = [*dropped, *self._waiting]
        self._waiting.clear()
        self._dropped = 0
        return taken

    def __bool__(self) -> bool:
        return bool(self._waiting)


class Writer:
    """Writes lines to a descriptor without ever making who says them wait."""

    def __init__(self, descriptor: int, limit: int = LINES) -> None:
        self._descriptor = descriptor
        self._backlog = Backlog(limit)
        self._changed = threading.Condition()
        self._ending = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write while the block runs, and for a second more if anything still waits."""
        # A daemon: a terminal that never reads again must not keep the process from ending.
        thread = threading.Thread(target=self._write, name="lines", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._ending = True
                self._changed.notify()
            thread.join(_LAST_WORDS)

    def say(self, line: str) -> None:
        """Have a line written."""
        with self._changed:
            self._backlog.add(line)
            self._changed.notify()

    def _write(self) -> None:
        while lines := self._next():
            data = "".join(f"{line}\n" for line in lines).encode(errors="replace")
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                continue  # nobody reads any more, and there is nobody to tell; the processes live on

    def _next(self) -> list[str]:
        with self._changed:
            self._changed.wait_for(lambda: self._backlog or self._ending)
            return self._backlog.take()
