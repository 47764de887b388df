"""A process that is forked again when it is killed, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = """
import os, sys, time
from console.supervision import Backoff, reborn
reborn(lambda line: print(line, flush=True), Backoff(first=float(sys.argv[1])))
print(os.getpid(), os.getppid(), flush=True)
{life}
"""
SLEEPS = "time.sleep(60)"
ENDS = "sys.exit(7)"
GRACEFUL = """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("ready", flush=True)
time.sleep(60)
"""
DEADLINE = 20.0  # seconds


@contextmanager
def running(life: str, wait: float = 0.01) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM.format(life=life), str(wait)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as parent:
        try:
            yield parent
        finally:
            parent.kill()


def told(parent: subprocess.Popen[str]) -> str:
    assert parent.stdout is not None
    return parent.stdout.readline().strip()


def born(parent: subprocess.Popen[str]) -> int:
    """The child that lives now."""
    child, whose = map(int, told(parent).split())
    assert whose == parent.pid
    return child


def test_a_child_that_is_killed_is_forked_again_by_the_same_parent() -> None:
    with running(SLEEPS) as parent:
        children = [born(parent)]
        for wait in ("0.01", "0.02"):
            os.kill(children[-1], signal.SIGKILL)
            assert told(parent) == f"ended with signal SIGKILL; is forked again in {wait} s"
            children.append(born(parent))
        assert len({*children, parent.pid}) == 4


def test_a_child_that_ends_by_itself_ends_its_parent_likewise() -> None:
    with running(ENDS) as parent:
        assert parent.wait(DEADLINE) == 7


def test_the_wish_to_end_reaches_the_child_and_none_follows() -> None:
    with running(GRACEFUL) as parent:
        born(parent)
        assert told(parent) == "ready"
        parent.terminate()
        assert parent.wait(DEADLINE) == 3
        assert told(parent) == ""


def test_the_wish_to_end_between_two_children_ends_the_parent() -> None:
    with running(SLEEPS, wait=60.0) as parent:
        os.kill(born(parent), signal.SIGKILL)
        assert told(parent).endswith("is forked again in 5 s")
        parent.terminate()
        assert parent.wait(DEADLINE / 10) == 128 + signal.SIGTERM


def test_a_child_dies_with_its_parent() -> None:
    with running(SLEEPS) as parent:
        child = born(parent)
        parent.kill()
        parent.wait()
        ended = time.monotonic() + DEADLINE
        while Path(f"/proc/{child}").exists() and _state(child) != "Z":
            assert time.monotonic() < ended, "it outlives its parent"
            time.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
