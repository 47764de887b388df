"""Nothing that the demo started outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.demo.cast import ROOT
from deploy.demo.children import Child, ChildDied, descendants

STUBBORN = """
import asyncio, os, signal, sys
from pathlib import Path
from deploy.demo import children
GRANDCHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
APART = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
START = f"subprocess.Popen([sys.executable, '-c', {GRANDCHILD!r}], {APART})"
CHILD = f"import subprocess, sys; print({START}.pid, flush=True)"
async def main():
    child = await children.Child.start("parent", sys.executable, "-c", CHILD, folder=Path(sys.argv[1]), piped=True)
    told = await child.process.stdout.readline()
    await child.process.wait()
    return told.decode()
children.adopt_orphans()
print(asyncio.run(main()), children.end_descendants())
"""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_orphan_of_a_dead_child_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STUBBORN, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    orphan, ended = map(int, done.stdout.split())
    assert ended == 1
    assert not _lives(orphan)


async def test_child_that_ignores_being_asked_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    child = await Child.start("stubborn", sys.executable, "-c", stubborn, folder=tmp_path, piped=True)
    assert child.process.stdout is not None
    await child.process.stdout.readline()
    assert child.process.pid in descendants(os.getpid())
    await child.stop(0.2)
    assert child.process.returncode == -signal.SIGKILL


async def test_dead_child_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = await Child.start("talker", sys.executable, "-c", "raise SystemExit('no such port')", folder=tmp_path)
    await child.process.wait()
    with pytest.raises(ChildDied, match="no such port"):
        child.check()


def test_children_end_when_the_demo_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom deploy.demo.children import Child\n"
        "async def main():\n"
        "    child = await Child.start('c', 'sleep', '60', folder=Path(sys.argv[1]))\n"
        "    print(child.process.pid, flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        pid = int(demo.stdout.readline())
        demo.kill()
    end = time.monotonic() + 5
    while _lives(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not _lives(pid)


async def test_first_child_makes_the_folder_of_logs(tmp_path: Path) -> None:
    child = await Child.start("first", sys.executable, "-c", "print('said')", folder=tmp_path / "run" / "logs")
    await child.process.wait()
    assert child.log == tmp_path / "run" / "logs" / "first.log"
    assert child.last_words() == "said"
