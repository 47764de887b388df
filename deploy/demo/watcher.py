"""A gRPC watch held by a child process in a host's namespace, seen from the story."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from deploy.demo.children import Child
from deploy.demo.sandbox import Host


class Watcher:
    """When statements came, and when and how the stream ended. Times are Unix seconds, by one clock."""

    def __init__(self, child: Child) -> None:
        self.arrivals: list[float] = []
        self.ended = 0.0
        self.code = ""
        self.words = ""
        self._child = child
        self._moved = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, host: Host, edge: str, authority: Path, account: str, token: str, folder: Path) -> Watcher:
        """Open the stream from `host`."""
        where = ("--netns", str(host.netns)) if host.netns else ()
        command = (sys.executable, "-m", "deploy.demo.watch", "--edge", edge, "--ca", str(authority))
        child = await Child.start(
            f"watch-{host.name}", *command, "--account", account, *where, folder=folder, piped=True
        )
        assert child.process.stdin is not None
        child.process.stdin.write(f"{token}\n".encode())
        await child.process.stdin.drain()
        return cls(child)

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return not self.ended

    async def _read(self) -> None:
        assert self._child.process.stdout is not None
        async for line in self._child.process.stdout:
            told = json.loads(line)
            if "ended" in told:
                self.ended, self.code, self.words = told["ended"], told["code"], told["words"]
            else:
                self.arrivals.append(told["time"])
            self._moved.set()
        if not self.ended:
            self.ended, self.code = -1.0, "CHILD_DIED"
        self._moved.set()

    async def flows(self, count: int, seconds: float) -> bool:
        """Whether `count` statements have come within `seconds`."""
        return await self._until(lambda: len(self.arrivals) >= count, seconds)

    async def ends(self, seconds: float) -> bool:
        """Whether it ends within `seconds`."""
        return await self._until(lambda: not self.live, seconds)

    async def _until(self, true: object, seconds: float) -> bool:
        assert callable(true)
        try:
            async with asyncio.timeout(seconds):
                while not true() and self.live:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass
        return bool(true())

    async def close(self) -> None:
        """End it."""
        await self._child.stop()
        await self._reading
