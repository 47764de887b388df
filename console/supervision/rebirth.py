"""A process that is there again as soon as it is killed: forked anew from its parent, which has loaded everything that
it needs and does nothing else.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from console.supervision.backoff import Backoff, Failures
from defense_lines.agent.parentage import die_with

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


class _Parent:
    """Waits for one child after the other; passes on the wish to end."""

    def __init__(self) -> None:
        self.child = 0  # 0 between two lives
        self.stopping = False

    def stop(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        self.stopping = True
        if self.child == 0:
            os._exit(128 + number)
        os.kill(self.child, number)

    def fork(self) -> bool:
        """Whether this is the child. A signal waits until each side knows which one it is."""
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        self.child = os.fork()
        if self.child == 0:
            die_with(parent)
            for number in _STOPS:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        return self.child == 0

    def wait(self) -> int:
        """The child's exit code; minus the signal that killed it."""
        os.waitid(os.P_PID, self.child, os.WEXITED | os.WNOWAIT)  # until it is waited for it can be signalled
        child, self.child = self.child, 0
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def reborn(say: Callable[[str], None], backoff: Backoff = Backoff()) -> None:  # noqa: B008 - frozen
    """Returns in a child, and in another one each time a child is killed. The parent ends with the exit code of the
    child that ended by itself, and every child with its parent. No thread of this process may hold a lock.
    """
    gc.collect()
    gc.freeze()  # what is shared with those who are forked stays shared
    parent, failures = _Parent(), Failures()
    for number in _STOPS:
        signal.signal(number, parent.stop)
    while True:
        began = time.monotonic()
        if parent.fork():
            return
        code = parent.wait()
        if code >= 0 or parent.stopping:
            os._exit(code if code >= 0 else 128 - code)
        failures, wait = backoff.after(failures, time.monotonic() - began)
        say(f"ended with signal {signal.Signals(-code).name}; is forked again in {wait:g} s")
        time.sleep(wait)
