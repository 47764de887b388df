"""The number of the newest operation, in memory that the gateway and its judges share."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Self

_SIZE = 8  # bytes: one number, written and read as a whole (an aligned word of the processor's)


class Published:
    """A number that only grows, over all lives of the gateway: what an earlier one published is never the newest again,
    so a judge of that one knows that it is left behind. One process writes it.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._view = memoryview(memory).cast("Q")

    @classmethod
    def begin(cls, file: Path, now: float) -> Self:
        """For the gateway at `now` (Unix seconds): the same file goes on, or a new one begins with what no earlier one
        can have reached. Raises OSError.
        """
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(descriptor).st_size < _SIZE:
                os.ftruncate(descriptor, _SIZE)
            made = cls(mmap.mmap(descriptor, _SIZE))
        finally:
            os.close(descriptor)
        made.raise_to(max(made.number + 1, int(now * 1e9)))  # no gateway publishes an operation a nanosecond
        return made

    @classmethod
    def look(cls, file: Path) -> Self:
        """For a judge, which only reads. Raises OSError, and ValueError for an empty file."""
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return cls(mmap.mmap(descriptor, _SIZE, prot=mmap.PROT_READ))
        finally:
            os.close(descriptor)

    @property
    def number(self) -> int:
        """The newest."""
        return self._view[0]

    def raise_to(self, number: int) -> None:
        """That operation counts now, for everybody."""
        self._view[0] = number

    def close(self) -> None:
        """Give the memory back."""
        self._view.release()
        self._memory.close()
