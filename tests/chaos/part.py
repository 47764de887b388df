"""A part is a process that can be killed at any instant, and is then started again."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any, Literal

FORKS = multiprocessing.get_context("forkserver")

Kind = Literal["gateway", "agent", "consumer", "broker"]


async def _nothing() -> None:
    """Between a death and the next life."""


@dataclass
class Part:
    """One process at a time."""

    name: str
    kind: Kind
    run: Callable[..., None]
    arguments: tuple[Any, ...]
    between: Callable[[], Awaitable[None]] = _nothing  # done while it is dead
    kills: int = 0
    fell: list[int] = field(default_factory=list)  # exit codes of those that ended by themselves
    since: float = 0.0  # Unix seconds of its last start
    _process: BaseProcess | None = None

    def start(self) -> None:
        """Have it run."""
        self.since = time.time()
        self._process = FORKS.Process(target=self.run, args=self.arguments, name=self.name)
        self._process.start()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is None:
            return
        self._process.kill()
        await asyncio.to_thread(self._process.join)
        self._process = None

    async def restart(self) -> None:
        """Killed once more, and there again."""
        self.kills += 1
        await self.kill()
        await self.between()
        self.start()

    def stand(self) -> None:
        """Start it again if it ended by itself, which it should not."""
        if self._process is not None and self._process.exitcode is not None:
            self.fell.append(self._process.exitcode)
            self.start()
