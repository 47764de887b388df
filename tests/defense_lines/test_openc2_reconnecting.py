"""A consumer between two connections to its broker: what it was told on the one it answers on the other."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

import pytest
from mqtt5 import (
    ConnAckPacket,
    ConnectPacket,
    Packet,
    PubAckPacket,
    PublishPacket,
    SubAckPacket,
    SubAckReasonCode,
    read,
)

from defense_lines.agent import Order, Result
from defense_lines.agent.openc2_mqtt import Broker, Connection
from defense_lines.agent.openc2_outbox import Outbox, Outgoing
from defense_lines.line import LineUnavailable
from tests.defense_lines.openc2_rig import (
    Filter,
    Mosquitto,
    answering,
    block,
    consumers,
    counted,
    orders,
    producer,
    tap,
)

DEVICE = "oc2/cmd/device/fw-0"
WINDOW = 3  # messages that a broker takes at once
IGNORED = "portcullis_defense_lines_openc2_ignored_total"
LOST = "portcullis_defense_lines_openc2_connections_lost_total"


class Gated(Filter):
    """A firewall that takes as long as the test says."""

    def __init__(self) -> None:
        super().__init__(time.time)
        self.busy, self.go = asyncio.Event(), asyncio.Event()

    async def apply(self, orders: list[Order]) -> list[Result]:
        self.busy.set()
        await self.go.wait()
        return await super().apply(orders)


class Wire(asyncio.Transport):
    """Where a connection writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        """What it had to write keeps it: it ends later than the next begins, or never."""

    def packets(self) -> list[Packet]:
        data, found = memoryview(b"".join(self.written)), list[Packet]()
        while data:
            packet, length = read(data)
            found.append(packet)
            data = data[length:]
        return found

    def published(self) -> list[bytes]:
        return [packet.payload for packet in self.packets() if isinstance(packet, PublishPacket)]


async def connected(outbox: Outbox, *, remembered: bool) -> tuple[Connection, Wire]:
    """A connection to a broker that lets so many messages be under way."""
    connection, wire = Connection(outbox, lambda _: None), Wire()
    connection.connection_made(wire)
    opening = asyncio.create_task(connection.open(Broker(), "fw-0", ["oc2/cmd/all"]))
    await asyncio.sleep(0)
    connection.data_received(ConnAckPacket(session_present=remembered, receive_max=WINDOW).write())
    await asyncio.sleep(0)
    connection.data_received(SubAckPacket(1, [SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write())
    await opening
    return connection, wire


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("ended", ["before", "after", "closing"])
async def test_what_is_published_on_a_dead_connection_goes_over_the_live_one(remembered: bool, ended: str) -> None:
    outbox = Outbox()
    old, dead = await connected(outbox, remembered=False)
    if ended == "before":
        old.connection_lost(None)
    else:
        old.close()
    new, wire = await connected(outbox, remembered=remembered)
    if ended == "after":
        old.connection_lost(None)
    said = [str(number).encode() for number in range(WINDOW)]
    for each in said:
        old.publish(Outgoing("oc2/rsp", each, "rsp"))
    for each in (b"last", b"of all"):
        new.publish(Outgoing("oc2/rsp", each, "rsp"))
    await asyncio.sleep(0)
    assert wire.published() == said
    assert dead.published() == []
    for number in range(1, WINDOW + 1):
        new.data_received(PubAckPacket(number).write())
    await asyncio.sleep(0)
    assert wire.published() == [*said, b"last", b"of all"]
    for connection in (old, new):
        connection.connection_lost(None)


@pytest.mark.parametrize("lives", [2.0, math.inf])
async def test_what_is_for_now_alone_does_not_go_again_over_the_next_connection(lives: float) -> None:
    outbox = Outbox()
    old, _ = await connected(outbox, remembered=False)
    old.publish(Outgoing("oc2/cmd/device/asa", b"deny", "req", lives))
    await asyncio.sleep(0)
    old.connection_lost(None)
    new, wire = await connected(outbox, remembered=lives == math.inf)
    await asyncio.sleep(0)
    (connect,) = [packet for packet in wire.packets() if isinstance(packet, ConnectPacket)]
    assert connect.clean_start == (lives < math.inf)  # else MQTT wants it to go again
    assert wire.published() == ([] if lives < math.inf else [b"deny"])
    new.connection_lost(None)


async def test_an_answer_goes_out_over_the_connection_that_stands(tmp_path: Path) -> None:
    wall, server, here = Gated(), Mosquitto(tmp_path), asyncio.Queue[str]()
    await server.start()
    async with (
        asyncio.timeout(30),
        consumers(server.broker, wall),
        producer(server.broker, reachable=here.put_nowait) as (line,),
    ):
        await answering(line)
        telling = asyncio.create_task(line.carry_out(orders(block(1))))
        await wall.busy.wait()
        await server.kill()
        with pytest.raises(LineUnavailable):
            await telling
        while not here.empty():
            here.get_nowait()
        await server.start()
        async with tap(server.broker) as ear:
            assert await here.get() == "fw-0"
            before = await ear.caught_up()
            wall.go.set()
            told = await ear.until("oc2/rsp/portcullis", 1, before)
            while not any(b'"status":200' in one.payload for one in told):  # that it is connected is told as well
                told = await ear.until("oc2/rsp/portcullis", len(told) + 1, before)
        await answering(line)
    await server.kill()


async def test_a_flood_that_no_window_holds_back_costs_no_connection(tmp_path: Path) -> None:
    before, ignored = counted(LOST, why="broker"), counted(IGNORED)
    wall, server = Gated(), Mosquitto(tmp_path)
    await server.start()
    async with asyncio.timeout(30), consumers(server.broker, wall), producer(server.broker) as (line,):
        await answering(line)
        async with tap(server.broker) as thief:
            telling = asyncio.create_task(line.carry_out(orders(block(1))))
            await wall.busy.wait()
            for _ in range(1_100):
                thief.shout(DEVICE, b"{}")
            while counted(IGNORED) < ignored + 1_100:  # noqa: ASYNC110 - a counter tells nobody
                await asyncio.sleep(0.01)
            wall.go.set()
            assert (await telling).notes == ()
    assert counted(LOST, why="broker") == before
    await server.kill()
