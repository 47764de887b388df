"""A child process that does not outlive its parent, whatever kills that."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_libc: Final = ctypes.CDLL(None, use_errno=True)  # loaded before a fork: a child may not load anything


def die_with(parent: int) -> None:
    """In a child, first of all: ends with process `parent`, and at once where that one is gone already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
