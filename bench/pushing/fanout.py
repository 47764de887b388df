"""What a broker alone does: one message to many subscribers, and an answer of each. Nothing is signed, nothing durable.

`python -m bench.pushing.fanout PORT SIZE FIRST COUNT` runs subscribers until it is ended.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop
from mqtt5 import PublishPacket

from bench.result import CannotRun
from bench.system import process, tool, until
from defense_lines.agent.openc2_mqtt import Broker, Connection, stay_connected
from defense_lines.agent.openc2_outbox import Outgoing
from deploy.demo.ports import free_port

TOLD, ANSWERED = "fan/out", "fan/in"
_APART = 0.005  # seconds from one subscriber's start to the next's
_DEADLINE = 30.0  # seconds for all answers
_READY = b"here"
# As docs/lines.md advises; nothing is kept, and Nagle's algorithm is off.
_SETTINGS = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 1000
max_queued_messages 10000
user root
"""


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[tuple[int, int]]:
    """A broker: its port and its pid."""
    port, settings = free_port(), folder / "mosquitto.conf"
    settings.write_text(_SETTINGS.format(port=port))

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    async with process(tool("mosquitto", "mosquitto"), "-c", str(settings)) as child:
        await until(listens, "mosquitto", child)
        yield port, child.pid


@dataclass(frozen=True)
class Sizes:
    """Bytes of what travels."""

    told: int
    answered: int


class Fanout:
    """The publisher, who knows how many there are."""

    def __init__(self, connection: Connection, size: int, subscribers: int) -> None:
        self._connection = connection
        self._size = size
        self._subscribers = subscribers
        self._came = 0
        self._all = asyncio.Event()

    def received(self, connection: Connection, message: PublishPacket) -> None:
        """One answered, or is there."""
        connection.acknowledge(message)
        self._came += 1
        if self._came == self._subscribers:
            self._all.set()

    async def everybody(self) -> None:
        """Wait until all have answered, or are there. Raises CannotRun."""
        try:
            await asyncio.wait_for(self._all.wait(), _DEADLINE)
        except TimeoutError:
            raise CannotRun(f"{self._came} of {self._subscribers} subscribers answered") from None
        self._came = 0
        self._all.clear()

    async def publish(self) -> float:
        """Milliseconds until all have answered. Raises CannotRun."""
        start = time.perf_counter()
        self._connection.publish(Outgoing(TOLD, os.urandom(self._size), "req"))
        await self.everybody()
        return 1000 * (time.perf_counter() - start)


@asynccontextmanager
async def fanout(port: int, subscribers: int, processes: int, sizes: Sizes) -> AsyncIterator[Fanout]:
    """So many subscribers in as many processes, and their publisher."""
    found: list[Fanout] = []
    there = asyncio.Event()

    async def converse(connection: Connection) -> None:
        found.append(Fanout(connection, sizes.told, subscribers))
        there.set()
        await connection.ended()

    def received(connection: Connection, message: PublishPacket) -> None:
        found[0].received(connection, message)

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        holding = tasks.create_task(stay_connected(Broker(port=port), "fan", (ANSWERED,), received, converse))
        await asyncio.wait_for(there.wait(), _DEADLINE)
        each = -(-subscribers // processes)
        for first in range(0, subscribers, each):
            share = (str(port), str(sizes.answered), str(first), str(min(each, subscribers - first)))
            await stack.enter_async_context(process(sys.executable, "-m", "bench.pushing.fanout", *share))
        await found[0].everybody()
        yield found[0]
        holding.cancel()


def main(port: int, size: int, first: int, count: int) -> None:
    """Run subscribers."""
    gc.set_threshold(50_000, 20, 20)  # as ours have it
    uvloop.run(_run(Broker(port=port), os.urandom(size), range(first, first + count)))


async def _run(broker: Broker, answer: bytes, numbers: range) -> None:
    def received(connection: Connection, message: PublishPacket) -> None:
        connection.acknowledge(message)
        connection.publish(Outgoing(ANSWERED, answer, "rsp"))

    async def converse(connection: Connection) -> None:
        connection.publish(Outgoing(ANSWERED, _READY, "ntf"))
        await connection.ended()

    async with asyncio.TaskGroup() as tasks:
        for number in numbers:
            tasks.create_task(stay_connected(broker, f"fan-{number:05d}", (TOLD,), received, converse))
            await asyncio.sleep(_APART)
        gc.collect()
        gc.freeze()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
