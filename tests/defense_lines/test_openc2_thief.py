"""Somebody holds the broker: hears everything, says what they like as whom they like, and chooses what arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from defense_lines.agent.openc2_command import read_command
from defense_lines.agent.openc2_gate import MAX_AGE, Stamp
from defense_lines.agent.openc2_message import deny, read_response, request, response
from defense_lines.agent.openc2_seal import seal_command
from defense_lines.line import LineUnavailable
from defense_lines.lines.openc2 import OpenC2Line
from tests.defense_lines.openc2_rig import (
    REFUSED,
    STRAY,
    Filter,
    Tap,
    answering,
    block,
    consumers,
    counted,
    ids,
    mosquitto,
    orders,
    producer,
    tap,
)

DEVICE, ANSWERS = "oc2/cmd/device/fw-0", "oc2/rsp/portcullis"


class Scene:
    """One consumer, its line, and the thief."""

    def __init__(self, wall: Filter, line: OpenC2Line, thief: Tap) -> None:
        self.wall, self.line, self.thief = wall, line, thief
        self.late = 0.0  # seconds that the consumer's clock is ahead of what it was

    async def last(self, topic: str = DEVICE) -> bytes:
        """The last command that was sent."""
        await self.thief.caught_up()
        return (await self.thief.until(topic))[-1].payload

    async def plays(self, payload: bytes, topic: str = DEVICE) -> tuple[int, str]:
        """What the consumer answers to a message from the thief."""
        before = await self.thief.caught_up()
        self.thief.say(topic, payload)
        (answer, *_) = await self.thief.until(ANSWERS, 1, before)
        read = read_response(answer.payload)
        assert read is not None
        return read.status, read.refused


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    wall = Filter(time.time)
    made: list[Scene] = []

    def clock() -> float:
        return time.monotonic() + (made[0].late if made else 0.0)

    async with (
        asyncio.timeout(30),
        mosquitto(folder) as broker,
        consumers(broker, wall, since=clock),
        producer(broker) as (line,),
        tap(broker) as thief,
    ):
        made.append(Scene(wall, line, thief))
        await answering(line)
        yield made[0]


def forged(key: Ed25519PrivateKey | None) -> bytes:
    """A deny of everything, as the gateway would say it."""
    stamp = Stamp("0" * 32, 1 << 40, 0, DEVICE)
    command = request("r-1", "portcullis", time.time(), deny("0.0.0.0/0", 60, block(66).id), stamp)
    return seal_command(command, key) if key else command


@pytest.mark.parametrize("key", [None, Ed25519PrivateKey.from_private_bytes(bytes(32))], ids=["unsigned", "own key"])
@pytest.mark.parametrize("topic", [DEVICE, "oc2/cmd/ap/slpf", "oc2/cmd/all"])
async def test_a_forged_order_is_refused(tmp_path: Path, key: Ed25519PrivateKey | None, topic: str) -> None:
    before = counted(REFUSED, why="unsigned")
    async with scene(tmp_path) as stage:
        assert await stage.plays(forged(key), topic) == (401, "unsigned")
        assert stage.wall.blocks == set()
        assert counted(REFUSED, why="unsigned") == before + 1


async def test_an_altered_order_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        await stage.line.carry_out(orders(block(1)))
        told = await stage.last()
        altered = told.replace(b"198.51.100.7", b"203.0.113.99")
        assert altered != told
        assert await stage.plays(altered) == (401, "unsigned")
        assert stage.wall.blocks == ids([block(1)])


async def test_a_replayed_order_is_refused(tmp_path: Path) -> None:
    before = counted(REFUSED, why="sequence")
    async with scene(tmp_path) as stage:
        await stage.line.carry_out(orders(block(1)))
        told = await stage.last()
        await stage.line.carry_out(orders(block(1).id))
        assert await stage.plays(told) == (403, "sequence")
        assert await stage.plays(told, "oc2/cmd/all") == (403, "sequence")
        assert stage.wall.blocks == set()
        assert counted(REFUSED, why="sequence") == before + 2


async def test_a_lift_that_is_replayed_after_the_block_stands_again_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path) as stage:
        await stage.line.carry_out(orders(block(1)))
        await stage.line.carry_out(orders(block(1).id))
        lift = await stage.last()
        await stage.line.carry_out(orders(block(1)))
        assert await stage.plays(lift) == (403, "sequence")
        assert stage.wall.blocks == ids([block(1)])


async def test_an_order_that_was_held_back_is_refused_once_another_came_or_it_is_old(tmp_path: Path) -> None:
    wall = Filter(time.time)
    late = 0.0
    # the thief swallows orders: the consumer listens on a broker of its own, to which he carries what he likes
    (tmp_path / "near").mkdir()
    (tmp_path / "far").mkdir()
    async with (
        asyncio.timeout(30),
        mosquitto(tmp_path / "near") as near,
        mosquitto(tmp_path / "far") as far,
        tap(near) as ours,
        tap(far) as theirs,
        consumers(far, wall, since=lambda: time.monotonic() + late),
        producer(near, timeout=0.3) as (line,),
    ):

        async def carried(payload: bytes) -> tuple[int, str]:
            before = await theirs.caught_up()
            theirs.say(DEVICE, payload)
            (answer, *_) = await theirs.until(ANSWERS, 1, before)
            read = read_response(answer.payload)
            assert read is not None
            return read.status, read.refused

        async def sent(number: int) -> bytes:
            before = len(ours.heard)
            with pytest.raises(LineUnavailable):
                await line.carry_out(orders(block(number, f"198.51.100.{number}")))
            return (await ours.until(DEVICE, 1, before))[0].payload

        arrival = (await theirs.until(ANSWERS))[0].payload
        ours.say(ANSWERS, arrival, "ntf")
        before = len(ours.heard)
        while True:  # until the producer heard of it and binds the consumer
            with pytest.raises(LineUnavailable):
                await line.carry_out(orders(block(1)))
            bound = (await ours.until(DEVICE, 1, before))[-1].payload
            if b"nonce" in bound:
                break
        assert await carried(bound) == (200, "")
        held, second, third = await sent(2), await sent(3), await sent(4)
        assert await carried(second) == (200, "")
        assert await carried(held) == (403, "sequence")  # reordered
        late = MAX_AGE + 1
        assert await carried(third) == (403, "expired")
        assert wall.blocks == ids([block(1), block(3)])


async def test_an_order_for_another_device_is_refused(tmp_path: Path) -> None:
    walls = [Filter(time.time), Filter(time.time)]
    before = counted(REFUSED, why="scope")
    async with (
        asyncio.timeout(30),
        mosquitto(tmp_path) as broker,
        consumers(broker, *walls),
        producer(broker, 2) as lines,
        tap(broker) as thief,
    ):
        await answering(*lines)
        await lines[1].carry_out(orders(block(1)))
        stage = Scene(walls[0], lines[0], thief)
        told = await stage.last("oc2/cmd/device/fw-1")
        assert await stage.plays(told) == (403, "scope")
        assert walls[0].blocks == set()
        assert counted(REFUSED, why="scope") == before + 1


async def test_orders_recorded_before_a_restart_are_refused_after_it(tmp_path: Path) -> None:
    async with asyncio.timeout(30), mosquitto(tmp_path) as broker, tap(broker) as thief:
        async with consumers(broker, Filter(time.time)), producer(broker) as (line,):
            await answering(line)
            await line.carry_out(orders(block(1)))
        heard = await thief.caught_up()
        recorded = [message.payload for message in await thief.until(DEVICE)]
        wall = Filter(time.time)
        async with consumers(broker, wall), producer(broker) as (line,):
            await thief.until(ANSWERS, 1, heard)  # it is there
            stage = Scene(wall, line, thief)
            assert {await stage.plays(payload) for payload in recorded} == {(403, "session")}
            await answering(line)
            assert {await stage.plays(payload) for payload in recorded} == {(403, "session")}
            assert wall.blocks == set()


async def test_receipts_cannot_be_forged_nor_replayed(tmp_path: Path) -> None:
    before = {what: counted(STRAY, what=what) for what in ("forged", "unknown")}
    async with (
        asyncio.timeout(30),
        mosquitto(tmp_path) as broker,
        tap(broker) as thief,
        producer(broker, timeout=0.5) as (line,),
    ):
        async with consumers(broker, Filter(time.time)):
            await answering(line)
            await line.carry_out(orders(block(1)))
            heard = await thief.caught_up()
            recorded = (await thief.until(ANSWERS))[-1].payload
        telling = asyncio.create_task(line.carry_out(orders(block(2))))  # to nobody: the consumer is gone
        (told,) = await thief.until(DEVICE, 1, heard)
        thief.say(
            ANSWERS,
            response(read_command(told.payload), "fw-0", time.time(), 200, "", {}, {"head": "head-1"}),
            "rsp",
        )
        thief.say(ANSWERS, recorded, "rsp")
        was, now = (msgspec.json.decode(each)["headers"]["request_id"] for each in (recorded, told.payload))
        thief.say(ANSWERS, recorded.replace(was.encode(), now.encode()), "rsp")
        with pytest.raises(LineUnavailable, match="no answer"):
            await telling
    assert {what: counted(STRAY, what=what) - before[what] for what in before} == {"forged": 2, "unknown": 1}
