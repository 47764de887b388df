"""A process that is kept alive: started, listened to, started again when it dies, ended when told to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from console.supervision.backoff import Backoff, Failures
from console.supervision.output import Prefixed
from defense_lines.agent.capabilities import Capability, drop
from defense_lines.agent.parentage import die_with


@dataclass(frozen=True, slots=True)
class Part:
    """How a process is started: its command, all that it is given as environment, and the capabilities it keeps."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    keep: frozenset[Capability] = frozenset()


class Child:
    """Keeps one part alive. `say` takes each line that it writes, and what happens to it, as text."""

    def __init__(
        self,
        part: Part,
        say: Callable[[str], None],
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.part = part
        self.starts = 0
        self._say = say
        self._backoff = backoff
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process that lives now; None between two lives."""
        return self._process.pid if self._process else None

    async def keep_alive(self) -> None:
        """Start the process, and again each time it dies, until `end`."""
        failures = Failures()
        try:
            while not self._ending.is_set():
                began = self._clock()
                how = await self._live()
                if self._ending.is_set():
                    break
                failures, wait = self._backoff.after(failures, self._clock() - began)
                self._say(f"{how}; starts again in {wait:g} s")
                await self._pause(wait)
        finally:
            self._ended.set()

    async def end(self, patience: float) -> None:
        """SIGTERM, and SIGKILL after `patience` seconds; returns when the process is gone."""
        self._ending.set()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience):
                await self._ended.wait()
        except TimeoutError:
            self._say(f"still there after {patience:g} s: killed")
            self._signal(signal.SIGKILL)
            await self._ended.wait()

    def kill(self, why: str) -> None:
        """End this life at once; the next one begins as after any death."""
        self._say(why)
        self._signal(signal.SIGKILL)

    async def _live(self) -> str:
        try:
            process = _spawn(self.part)
        except (OSError, subprocess.SubprocessError) as error:
            return f"cannot be started: {error}"
        self._process = process
        self.starts += 1
        try:
            return f"ended with {_meaning(await self._until_gone(process))}"
        finally:
            self._signal(signal.SIGKILL)  # whatever it started itself must not outlive it
            self._process = None

    async def _until_gone(self, process: subprocess.Popen[bytes]) -> int:
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        transport, _ = await loop.connect_read_pipe(lambda: Prefixed(self._say), process.stdout)
        # A pidfd is readable when its process has ended: no thread that waits, no signal handler.
        descriptor = os.pidfd_open(process.pid)
        loop.add_reader(descriptor, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            if process.poll() is None:  # we are cancelled: nothing may be left behind
                process.kill()
            code = process.wait()
            await asyncio.sleep(0)  # its last words are read before the pipe is closed
            transport.close()
        return code

    async def _pause(self, wait: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._ending.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def _spawn(part: Part) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def before_exec() -> None:
        die_with(parent)
        drop(part.keep)  # it holds no more than it needs from its first instruction on

    return subprocess.Popen(
        list(part.command),
        env=dict(part.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=before_exec,
        process_group=0,  # a terminal's Ctrl-C reaches the supervisor alone, which drains in order
    )


def _meaning(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
