"""The edge's epochs, looked at from outside: when a signal was marked (layout: `gateway/edge/module/shared.h`)."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.edge import bucket

_EVERYTHING, _HEAD = 3, 64  # words
_PAUSE = 20e-6  # seconds between two looks


class Marks:
    """Read only."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def of(self, kind: str, value: str) -> int:
        """The last signal about this one; about everybody where `kind` is empty."""
        return self._words[_HEAD + bucket(kind, value) if kind else _EVERYTHING]

    def until(self, kind: str, value: str, before: int, over: Callable[[], bool]) -> int | None:
        """CLOCK_MONOTONIC nanoseconds at which it was seen to be another than `before`; None where that was not before
        something else is over.
        """
        while self.of(kind, value) == before:
            if over():
                return None
            time.sleep(_PAUSE)
        return time.monotonic_ns()


@contextmanager
def marks(path: Path) -> Iterator[Marks]:
    """Mapped as long as the block. Raises OSError."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        words = memoryview(mapped).cast("Q")
        try:
            yield Marks(words)
        finally:
            words.release()
