"""How a process treats memory: arrays of some megabytes, the same sizes again for every batch; and what lives on."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

_TRIM, _TOP_PAD, _MMAP, _ARENAS = (
    -1,
    -2,
    -3,
    -8,
)  # mallopt(3): M_TRIM_THRESHOLD, M_TOP_PAD, …
_MOST_KEPT = 1 << 30  # bytes
_PAD = 64 << 20
_LARGEST = 32 << 20  # glibc takes no greater threshold


def keep_freed() -> None:
    """Have glibc keep what is freed for the next batch: giving it back and being given zeroed pages again costs a
    tenth of all time. Does nothing where the C library is another.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_MMAP, _LARGEST), (_TRIM, _MOST_KEPT), (_TOP_PAD, _PAD), (_ARENAS, 1)):
            mallopt(option, value)


def settle() -> None:
    """What the start made lives on: the collector need not walk it again, nor look for cycles at every few events."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
