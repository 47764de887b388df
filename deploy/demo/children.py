"""Child processes that do not outlive us, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from deploy.demo.cast import ROOT

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 8.0
_libc = ctypes.CDLL(None, use_errno=True)


class ChildDied(Exception):
    """A child ended that should be running; the message ends with the last lines of its log."""


class Child:
    """One running child; its standard error, and output unless piped, go to `log`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @classmethod
    async def start(
        cls, name: str, *command: str, folder: Path, env: Mapping[str, str] | None = None, piped: bool = False
    ) -> Child:
        """Start `command` in a session of its own, so that Ctrl-C reaches us alone. `piped`: we hold its two ends.

        `folder` is made if need be.
        """
        log = _log(folder, name)
        pipe = asyncio.subprocess.PIPE if piped else None
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=pipe or asyncio.subprocess.DEVNULL,
                stdout=pipe or out,
                stderr=out,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        return cls(name, process, log)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.returncode is None

    def check(self) -> None:
        """Raises ChildDied if it has ended."""
        if not self.running:
            raise ChildDied(f"{self.name} ended with {self.process.returncode}:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to end; kill it if it has not done so in time."""
        if not self.running:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent died, so that `end_descendants` finds them."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """Process ids of everything below `root`, nearest first."""
    parents = {pid: parent for pid in _pids() if (parent := _parent(pid)) is not None}
    found = [root]
    for ancestor in found:
        found.extend(pid for pid, parent in parents.items() if parent == ancestor)
    return found[1:]


def end_descendants() -> int:
    """Kill whatever still runs below us; how many there were."""
    left = descendants(os.getpid())
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in left:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return len(left)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None  # it ended while we looked


def _log(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


def _end_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
