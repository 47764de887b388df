"""A real Mosquitto, OpenC2 consumers of ours over a firewall in memory or in the kernel, and the producer's lines."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mqtt5 import PublishPacket
from prometheus_client import REGISTRY

from defense_lines.agent import Firewall, Order, Result
from defense_lines.agent.openc2_consumer import attend, consume
from defense_lines.agent.openc2_mqtt import Broker, Connection, stay_connected
from defense_lines.agent.openc2_outbox import CONTENT_TYPE, Kind, Outgoing
from defense_lines.agent.openc2_seal import Enrolment, enrol
from defense_lines.line import Digest, LineUnavailable, Orders
from defense_lines.line import Order as Told
from defense_lines.lines.openc2 import OpenC2Line
from defense_lines.lines.openc2_producer import Producer
from policy import BlockPolicy, Cause, Target, TargetKind

NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
REFUSED = "portcullis_defense_lines_openc2_refused_total"
STRAY = "portcullis_defense_lines_openc2_stray_total"


class Filter:
    """A firewall in memory; `broken` makes it fail as a kernel would."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.standing: dict[str, Order] = {}
        self.broken = ""
        self.now = NOW
        self._clock = clock

    def clock(self) -> float:
        return self._clock() if self._clock else self.now

    async def apply(self, orders: list[Order]) -> list[Result]:
        if not self.broken:
            self.standing.update({order.id: order for order in orders})
        return [Result(order.id, "failed" if self.broken else "enforced", self.broken) for order in orders]

    async def revoke(self, identities: list[str]) -> list[Result]:
        for identity in identities:
            self.standing.pop(identity, None)
        return [Result(identity, "lifted") for identity in identities]

    async def active(self) -> list[Order]:
        return [order for order in self.standing.values() if order.expires > self.clock()]

    async def read(self) -> list[Order]:
        return list(self.standing.values())

    @property
    def blocks(self) -> set[str]:
        return {order.id.partition("/")[2] for order in self.standing.values()}


class Slow(Filter):
    """A firewall whose listing takes as long as the test says."""

    def __init__(self) -> None:
        super().__init__(time.time)
        self.listing, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()

    async def active(self) -> list[Order]:
        self.listing.set()
        await self.go.wait()
        return await super().active()


class Mosquitto:
    """A broker that can be killed and started again, empty."""

    def __init__(self, folder: Path, listener: str = "allow_anonymous true") -> None:
        """`listener`: settings of its only one."""
        binary = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if binary is None:
            pytest.skip("needs mosquitto")
        port = _free_port()
        settings = folder / "mosquitto.conf"
        settings.write_text(f"listener {port} 127.0.0.1\n{listener}\npersistence false\nuser root\n")
        self.broker = Broker(port=port)
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

    def hold(self, *, still: bool) -> None:
        """Stop it where it is, or let it go on."""
        assert self._child is not None
        self._child.send_signal(signal.SIGSTOP if still else signal.SIGCONT)

    async def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            await self._child.wait()


@asynccontextmanager
async def mosquitto(folder: Path, listener: str = "allow_anonymous true") -> AsyncIterator[Broker]:
    made = Mosquitto(folder, listener)
    await made.start()
    try:
        yield made.broker
    finally:
        await made.kill()


@asynccontextmanager
async def consumers(
    broker: Broker,
    *walls: Filter,
    since: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncIterator[None]:
    """Consumers fw-0, fw-1, … over these firewalls."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(attend(broker, enrol(KEY, f"fw-{number}"), wall, clock=since, wall=wall_clock))
            for number, wall in enumerate(walls)
        ]
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def kernel_consumer(broker: Broker, enrolment: Enrolment | None = None) -> AsyncIterator[None]:
    """Consumer fw-0 over the kernel."""
    stop = asyncio.Event()
    wall = Firewall("portcullis_oc2", ("saddr", "daddr"))
    async with asyncio.TaskGroup() as group:
        group.create_task(consume(broker, enrolment or enrol(KEY, "fw-0"), wall, stop))
        yield
        stop.set()


@asynccontextmanager
async def producer(
    broker: Broker, count: int = 1, timeout: float = 2.0, reachable: Callable[[str], None] = lambda _: None
) -> AsyncIterator[list[OpenC2Line]]:
    """The lines fw-0, fw-1, …"""
    made = Producer(broker, KEY, timeout=timeout)
    lines = [OpenC2Line(f"fw-{number}", made) for number in range(count)]
    async with running(made, reachable):
        yield lines


@asynccontextmanager
async def running(made: Producer, reachable: Callable[[str], None] = lambda _: None) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run(reachable))
        await made.connected.wait()
        yield
        task.cancel()


class Tap:
    """A client of the broker's own, which hears everything and says what it likes."""

    def __init__(self) -> None:
        self.heard: list[PublishPacket] = []
        self._connection: Connection | None = None
        self._more = asyncio.Event()

    def say(self, topic: str, payload: bytes, kind: Kind = "req") -> None:
        assert self._connection is not None
        self._connection.publish(Outgoing(topic, payload, kind))

    def shout(self, topic: str, payload: bytes) -> None:
        """Say it at QoS 0."""
        assert self._connection is not None
        self._connection._write(PublishPacket(topic, payload, content_type=CONTENT_TYPE).write())

    async def until(self, topic: str, count: int = 1, after: int = 0) -> list[PublishPacket]:
        """The first messages heard on a topic; the test's own deadline ends this."""
        while len(found := [message for message in self.heard[after:] if message.topic == topic]) < count:
            self._more.clear()
            await self._more.wait()
        return found

    async def caught_up(self) -> int:
        """Wait until all is heard that the broker has so far; how many messages that is."""
        mark = secrets.token_hex(8)
        self.say(f"oc2/mark/{mark}", b"")
        await self.until(f"oc2/mark/{mark}")
        return len(self.heard)

    def received(self, connection: Connection, message: PublishPacket) -> None:
        connection.acknowledge(message)
        self.heard.append(message)
        self._more.set()

    async def converse(self, connection: Connection) -> None:
        self._connection = connection
        self._more.set()
        await connection.ended()


@asynccontextmanager
async def tap(broker: Broker) -> AsyncIterator[Tap]:
    made = Tap()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(stay_connected(broker, "tap", ("oc2/#",), made.received, made.converse))
        while made._connection is None:
            made._more.clear()
            await made._more.wait()
        yield made
        task.cancel()


async def answering(*lines: OpenC2Line) -> None:
    """Wait until the consumers at the other end follow this producer; the test's own deadline ends this."""
    for line in lines:
        while True:
            try:
                await line.active(Digest(), time.time())
            except LineUnavailable:
                await asyncio.sleep(0.01)
            else:
                break


def block(number: int, value: str = "198.51.100.7", kind: TargetKind = "address", ttl: float = 60) -> BlockPolicy:
    return BlockPolicy(
        id=f"b-{number:016x}",
        target=Target.of(kind, value),
        created=time.time(),
        expires=time.time() + ttl,
        cause=Cause(reason="test", by="analyst:jo"),
    )


def orders(*said: BlockPolicy | str, head: str = "head-1") -> Orders:
    """Blocks to enforce, and ids to lift."""
    told = [
        Told(seq, each, None) if isinstance(each, str) else Told(seq, each.id, each)
        for seq, each in enumerate(said, start=1)
    ]
    return Orders(after=0, upto=len(told), orders=tuple(told), head=head, time=time.time())


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def ids(blocks: Iterable[BlockPolicy]) -> set[str]:
    return {each.id for each in blocks}


def _free_port() -> int:
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        port: int = end.getsockname()[1]
        return port
