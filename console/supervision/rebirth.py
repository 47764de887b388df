"""A process that is there again as soon as it is killed: forked anew from its parent, which has loaded everything that
it needs and does nothing else.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_SETTLED: Final = 1.0  # seconds; what is killed sooner is left to the supervisor, which waits longer each time


class _Parent:
    """Waits for one child after the other; passes on the wish to end."""

    def __init__(self) -> None:
        self.child = 0
        self.stopping = False

    def stop(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        self.stopping = True
        if self.child:
            os.kill(self.child, number)

    def fork(self) -> bool:
        """Whether this is the child. A signal waits until each side knows which one it is."""
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        self.child = os.fork()
        if self.child == 0:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for number in _STOPS:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            if os.getppid() != parent:
                os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        return self.child == 0

    def wait(self) -> int:
        """The child's exit code; minus the signal that killed it."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        self.child = 0
        return code


def reborn(say: Callable[[str], None], settled: float = _SETTLED) -> None:
    """Returns in a child, and in another one each time a child is killed that lived for `settled` seconds. The parent
    ends with the last child's exit code, and every child with its parent; nobody else may have a thread that takes locks.
    """
    gc.collect()
    gc.freeze()  # what is shared with those who are forked stays shared
    parent = _Parent()
    for number in _STOPS:
        signal.signal(number, parent.stop)
    while True:
        began = time.monotonic()
        if parent.fork():
            return
        code = parent.wait()
        if code >= 0 or parent.stopping or time.monotonic() - began < settled:
            os._exit(code if code >= 0 else 128 - code)
        say(f"ended with signal {signal.Signals(-code).name}; is forked again")
