"""A real OPA that tests start, kill and start again at the same address, and a relay that holds back what it says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.demo.ports import free_port
from policy.opa_check import find_opa

START_SECONDS = 20.0


def opa_binary() -> Path:
    found = find_opa()
    if not found:
        pytest.skip("needs opa")
    return found


class RealOpa:
    """One address; the process behind it comes and goes."""

    def __init__(self, binary: Path, *options: str, trust: ssl.SSLContext | None = None) -> None:
        self._binary = binary
        self._options = options
        self._trust = trust  # for HTTPS, where the options ask for that
        self._process: asyncio.subprocess.Process | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"{'https' if self._trust else 'http'}://127.0.0.1:{self.port}"

    async def start(self, *files: Path) -> None:
        """With modules and data of its own."""
        command = [str(self._binary), "run", "--server", "--log-level", "error", "--addr", f"127.0.0.1:{self.port}"]
        command += [*self._options, *map(str, files)]
        self._process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/health", ssl=self._trust or True) as answer:
                        if answer.status in (200, 401):
                            return
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def data(self) -> Any:
        """All that it holds."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/v1/data") as answer:
            return json.loads(await answer.read())["result"]


class Relay:
    """Passes bytes on to a server; what the server says waits while the gate is shut."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()  # something waits at the gate
        self.port = 0
        self._pumps: set[asyncio.Task[None]] = set()

    def shut(self) -> None:
        self.waiting.clear()
        self.gate.clear()

    @contextlib.asynccontextmanager
    async def to(self, port: int) -> AsyncIterator[Relay]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, onward = await asyncio.open_connection("127.0.0.1", port)
            for source, target, held in ((reader, onward, False), (there, writer, True)):
                task = asyncio.create_task(self._pump(source, target, held))
                self._pumps.add(task)
                task.add_done_callback(self._pumps.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in [*self._pumps]:
                task.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, held: bool) -> None:
        try:
            while data := await source.read(65536):
                if held and not self.gate.is_set():
                    self.waiting.set()
                    await self.gate.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()
