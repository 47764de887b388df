"""Supervision on real processes: started again alone, ended in time, never left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.supervision import (
    AlreadyRunning,
    Backlog,
    Backoff,
    Child,
    Failures,
    Part,
    Patience,
    Pulse,
    Writer,
    sole,
    watch,
)
from console.supervision.output import LONGEST_LINE, Prefixed

SLEEPER = "import time, sys; print('up', flush=True); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
FAST = Backoff(first=0.01, longest=0.05, settled=10.0)


class Said:
    """What children say, and a way to wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._more.set()

    async def until(self, holds: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds(self.lines):
                self._more.clear()
                await self._more.wait()

    async def times(self, text: str, count: int) -> None:
        await self.until(lambda lines: sum(text in line for line in lines) >= count)


@asynccontextmanager
async def alive(said: Said, program: str, patience: float = 5.0) -> AsyncIterator[Child]:
    child = Child(Part("test", [sys.executable, "-c", program], os.environ), said, FAST)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.keep_alive())
        try:
            yield child
        finally:
            await child.end(patience)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_only_the_one_that_died_is_started_again() -> None:
    said, other_said = Said(), Said()
    async with alive(said, SLEEPER) as child, alive(other_said, SLEEPER) as other:
        await said.times("up", 1)
        await other_said.times("up", 1)
        first, unharmed = child.pid, other.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await said.times("up", 2)
        assert child.pid not in (None, first)
        assert (child.starts, other.starts, other.pid) == (2, 1, unharmed)
        assert "ended with signal SIGKILL; starts again in 0.01 s" in said.lines


async def test_what_a_child_says_last_is_heard() -> None:
    said = Said()
    async with alive(said, "import sys; sys.stderr.write('dying words'); sys.exit(7)"):
        await said.times("dying words", 1)
        await said.times("ended with exit code 7", 1)


async def test_a_child_that_hears_nothing_is_killed() -> None:
    said = Said()
    async with alive(said, DEAF, patience=0.2) as child:
        await said.times("up", 1)
        pid = child.pid
    assert pid is not None
    assert not lives(pid)
    assert any("killed" in line for line in said.lines)


async def test_an_end_between_two_lives_is_at_once() -> None:
    said = Said()
    child = Child(Part("test", [sys.executable, "-c", "raise SystemExit(1)"], os.environ), said, Backoff(60.0, 60.0))
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        tasks.create_task(child.keep_alive())
        await said.times("exit code 1", 1)
        await child.end(5.0)
    assert child.starts == 1


async def test_what_cannot_be_started_is_tried_again() -> None:
    said = Said()
    child = Child(Part("test", ["/nowhere/envoy"], {}), said, FAST)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.keep_alive())
        await said.times("cannot be started", 2)
        await child.end(5.0)


async def test_a_child_is_given_its_environment_and_no_other() -> None:
    said = Said()
    program = "import os; print(sorted(os.environ), flush=True); " + SLEEPER
    child = Child(Part("test", [sys.executable, "-I", "-c", program], {"ONLY": "this", "LC_CTYPE": "C.UTF-8"}), said)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.keep_alive())
        await said.times("['LC_CTYPE', 'ONLY']", 1)
        await child.end(5.0)


async def test_a_child_holds_no_capability() -> None:
    said = Said()
    async with alive(said, "print(open('/proc/self/status').read(), flush=True); " + SLEEPER):
        await said.times("up", 1)
    held = {line.split()[0]: int(line.split()[1], 16) for line in said.lines if line.startswith("Cap")}
    assert (held["CapEff:"], held["CapPrm:"]) == (0, 0)
    assert "NoNewPrivs:\t1" in said.lines


SUPERVISOR = """
import asyncio, os, sys
from console.supervision import Child, Part
program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
async def main():
    await Child(Part("test", [sys.executable, "-c", program], os.environ), print).keep_alive()
asyncio.run(main())
"""


def test_children_die_with_the_supervisor() -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-u", "-c", SUPERVISOR], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    with supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        assert lives(child)
        supervisor.kill()
    deadline = time.monotonic() + 10
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not lives(child)


def test_one_supervisor_at_a_time(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with sole(state), pytest.raises(AlreadyRunning, match=rf"already up on .*state \(pid {os.getpid()}\)"), sole(state):
        pass
    with sole(state):
        pass


ANSWERING = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + str(os.getpid()))
listener.listen()
print("up", flush=True)
while True:
    peer, _ = listener.accept()
    with peer:
        peer.sendall(b"well")
"""


def hear(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(0.1)
        try:
            asking.connect(str(path))
            return asking.recv(4) == b"well"
        except OSError:
            return False


async def test_a_child_that_no_longer_answers_is_killed_and_started_again(tmp_path: Path) -> None:
    said = Said()
    part = Part("test", [sys.executable, "-c", ANSWERING, f"{tmp_path}/"], os.environ)
    child = Child(part, said, FAST)
    answered = asyncio.Event()

    async def healthy() -> bool:
        well = await asyncio.to_thread(hear, tmp_path / str(child.pid))
        if well:
            answered.set()
        return well

    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        tasks.create_task(child.keep_alive())
        watching = tasks.create_task(watch(child, healthy, Patience(3), 0.02))
        await answered.wait()
        stuck = child.pid
        assert stuck is not None
        os.kill(stuck, signal.SIGSTOP)
        await said.times("has not answered 3 times in a row: killed", 1)
        await said.times("ended with signal SIGKILL", 1)
        answered.clear()
        await answered.wait()
        assert (child.starts, lives(stuck)) == (2, False)
        watching.cancel()
        await child.end(5.0)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
def test_a_life_is_stuck_when_it_answered_once_and_then_missed_so_many(answers: list[bool], misses: int) -> None:
    pulse = Pulse()
    for count, healthy in enumerate(answers, 1):
        pulse, stuck = Patience(misses).after(pulse, healthy)
        latest = answers[max(0, count - misses) : count]
        assert stuck == (any(answers[:count]) and len(latest) == misses and not any(latest))


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=80), st.integers(1, 10))
def test_a_backlog_keeps_the_newest_and_counts_the_rest(steps: list[str | None], limit: int) -> None:
    backlog, since = Backlog(limit), list[str]()
    for step in steps:
        if step is not None:
            backlog.add(step)
            since.append(step)
            continue
        dropped = len(since) - limit
        assert backlog.take() == ([f"… {dropped} lines dropped"] if dropped > 0 else []) + since[-limit:]
        since = []


def test_nobody_waits_for_a_terminal_that_does_not_read() -> None:
    reader, writer = os.pipe()
    lines = Writer(writer, limit=50)
    with os.fdopen(reader) as terminal:
        with lines.running():
            for number in range(10_000):
                lines.say(f"{number:0100}")  # a hundred times more than a pipe holds: this returns all the same
            told = iter(terminal.readline, f"{9999:0100}\n")
            shown = list(told)
        os.close(writer)
        assert terminal.read() == ""
    dropped = sum(int(line.split()[1]) for line in shown if line.startswith("…"))
    assert dropped > 0
    assert dropped + sum(not line.startswith("…") for line in shown) + 1 == 10_000


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = Writer(writer)
    with lines.running():
        lines.say("nobody hears this")
        lines.say("nor this")
    os.close(writer)


lifetimes = st.lists(st.floats(0, 1e6))


@given(lifetimes)
def test_waits_double_up_to_the_longest_and_a_settled_life_forgives(lives_: list[float]) -> None:
    backoff, failures, before = Backoff(), Failures(), 0.0
    for lived in lives_:
        failures, wait = backoff.after(failures, lived)
        assert wait == (0.05 if lived >= backoff.settled or before == 0 else min(5.0, 2 * before))
        before = wait


@given(st.integers(0, 10**9), st.floats(0, 9.9))
def test_no_number_of_failures_is_too_many(count: int, lived: float) -> None:
    failures, wait = Backoff().after(Failures(count), lived)
    assert failures.count == count + 1
    assert 0.05 <= wait <= 5.0


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_lines_are_told_whole_however_they_arrive(data: bytes, cuts: list[int]) -> None:
    told: list[str] = []
    pipe = Prefixed(told.append)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        pipe.data_received(data[start:end])
    pipe.connection_lost(None)
    lines = data.split(b"\n")
    assert told == [line.decode(errors="replace") for line in (lines if lines[-1] else lines[:-1])]


def test_a_line_without_end_is_told_in_pieces() -> None:
    told: list[str] = []
    pipe = Prefixed(told.append)
    for _ in range(10):
        pipe.data_received(b"x" * LONGEST_LINE)
    assert [len(piece) for piece in told] == [LONGEST_LINE] * 10
