"""A real Mosquitto, an OpenC2 consumer and the producer's line, all in the network namespace of the caller."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from defense_lines.agent import Firewall
from defense_lines.agent.openc2_consumer import consume
from defense_lines.agent.openc2_mqtt import Broker
from defense_lines.lines.openc2 import OpenC2Line

PORT = 18883  # in a namespace of its own


class Mosquitto:
    """A broker that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if binary is None:
            pytest.skip("needs mosquitto")
        settings = folder / "mosquitto.conf"
        settings.write_text(f"listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n")
        self.broker = Broker(port=PORT)
        self._command = (binary, "-c", str(settings))
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        quiet = asyncio.subprocess.DEVNULL
        self._child = await asyncio.create_subprocess_exec(*self._command, stdout=quiet, stderr=quiet)
        while True:  # until it listens; the test's own deadline ends this
            try:
                _, writer = await asyncio.open_connection(self.broker.host, self.broker.port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            await writer.wait_closed()
            return

    async def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            await self._child.wait()


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[Broker]:
    made = Mosquitto(folder)
    await made.start()
    try:
        yield made.broker
    finally:
        await made.kill()


@asynccontextmanager
async def consumer(broker: Broker, table: str = "portcullis_oc2") -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(consume(broker, "fw-1", Firewall(table, ("saddr", "daddr")), stop))
        yield
        stop.set()


@asynccontextmanager
async def producer(broker: Broker, timeout: float = 2.0) -> AsyncIterator[OpenC2Line]:
    line = OpenC2Line(broker, timeout=timeout)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(line.run())
        await line.connected.wait()
        yield line
        running.cancel()
