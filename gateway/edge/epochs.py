"""Epochs: what every worker of the edge reads before it gives an answer a second time. The file is mapped by both
sides; a signal is one store, and the next request sees it (`gateway/edge/module/shared.h` has the same layout).
"""

from __future__ import annotations

import mmap
import os
import secrets
from pathlib import Path
from typing import Final
from zlib import crc32

EPOCHS_FILE: Final = "epochs"
BUCKETS: Final = 65536
_MAGIC: Final = 0x3148434F50455250
_HEAD: Final = 64  # words before the buckets
_BYTES: Final = 8 * (_HEAD + BUCKETS)
_MAGIC_WORD, _INSTANCE, _SEQUENCE, _EVERYTHING = range(4)


def bucket(kind: str, value: str) -> int:
    """Where a signal about this one is marked. Others may share it, and are then asked about once more."""
    return crc32(f"{kind} {value}".encode("utf-8", "surrogatepass")) & (BUCKETS - 1)


class Epochs:
    """Written by one process. A signal is marked once what it changes has changed: an answer that was asked for before
    the mark is never given again.
    """

    def __init__(self, path: Path) -> None:
        """Opens or makes the file, and ends whatever an earlier gateway answered. Raises OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Never made anew where it is there: an edge that outlived us has it mapped.
            if os.fstat(descriptor).st_size != _BYTES:
                os.ftruncate(descriptor, _BYTES)
            self._map = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("Q")
        self.instance = secrets.randbits(63) | 1
        self._words[_INSTANCE] = self.instance
        self._words[_MAGIC_WORD] = _MAGIC
        self.everything()

    @property
    def sequence(self) -> int:
        """How many signals there were."""
        return self._words[_SEQUENCE]

    def touch(self, kind: str, value: str) -> None:
        """Something changed about whoever is named so."""
        self._mark(_HEAD + bucket(kind, value))

    def everything(self) -> None:
        """Something changed that may touch anybody."""
        self._mark(_EVERYTHING)

    def close(self) -> None:
        """Give the file up. What was answered is not given again: the edge sees that we are gone."""
        self._words.release()
        self._map.close()

    def _mark(self, word: int) -> None:
        # The mark first: who reads the sequence in between asks before the mark, and is asked about again.
        sequence = self._words[_SEQUENCE] + 1
        self._words[word] = sequence
        self._words[_SEQUENCE] = sequence
