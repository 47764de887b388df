"""The kernel's timer (Linux timerfd), to the microsecond and without a busy loop. Python has it from 3.13 on."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Self

_MONOTONIC, _ABSOLUTE = 1, 1
_SECOND = 1_000_000_000
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Specification(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


class Timer:
    """Due at `first` and `every` nanoseconds after (CLOCK_MONOTONIC). Its descriptor can be waited for."""

    def __init__(self, first: int, every: int) -> None:
        self.descriptor = _checked(_LIBC.timerfd_create(_MONOTONIC, 0))
        when = _Specification(*divmod(every, _SECOND), *divmod(first, _SECOND))
        _checked(_LIBC.timerfd_settime(self.descriptor, _ABSOLUTE, ctypes.byref(when), None))

    def passed(self) -> int:
        """How often it was due since this was asked last; waits until it was."""
        return int.from_bytes(os.read(self.descriptor, 8), sys.byteorder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
