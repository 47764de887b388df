"""What stands is asked beside the orders, and may take its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from defense_lines.agent.openc2_desk import QUESTIONS
from defense_lines.line import Digest, LineUnavailable
from defense_lines.lines.openc2 import OpenC2Line
from tests.defense_lines.openc2_rig import Filter, Slow, answering, block, consumers, ids, mosquitto, orders, producer

TIMEOUT = 0.3  # seconds


@asynccontextmanager
async def slow_consumer(folder: Path) -> AsyncIterator[tuple[Slow, OpenC2Line]]:
    """One that answers, and lists no more until it is let; and its line."""
    wall = Slow()
    async with (
        asyncio.timeout(30),
        mosquitto(folder) as broker,
        consumers(broker, wall),
        producer(broker, timeout=TIMEOUT) as (line,),
    ):
        await answering(line)
        wall.go.clear()
        wall.listing.clear()
        yield wall, line


async def test_a_long_listing_is_waited_for_and_keeps_no_order_waiting(tmp_path: Path) -> None:
    async with slow_consumer(tmp_path) as (wall, line):
        asking = asyncio.create_task(line.active(Digest(), time.time()))
        await wall.listing.wait()
        assert (await line.carry_out(orders(block(1)))).notes == ()
        assert wall.blocks == ids([block(1)])
        await asyncio.wait([asking], timeout=2 * TIMEOUT)  # longer than an order may take
        assert not asking.done()
        wall.go.set()
        assert await asking == [block(1).id]


async def test_no_more_questions_wait_than_a_few(tmp_path: Path) -> None:
    async with slow_consumer(tmp_path) as (wall, line):
        asking = [asyncio.create_task(line.active(Digest(), time.time()))]
        await wall.listing.wait()
        asking += [asyncio.create_task(line.active(Digest(), time.time())) for _ in range(QUESTIONS + 1)]
        (refused,), _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert "503" in str(refused.exception())
        wall.go.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert answers.count(None) == QUESTIONS + 1


async def test_who_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    async with asyncio.timeout(5), mosquitto(tmp_path) as broker, producer(broker, timeout=TIMEOUT) as (line,):
        with pytest.raises(LineUnavailable, match="in time"):
            await line.active(Digest(), time.time())


async def test_who_begins_anew_has_forgotten_what_it_was_asked(tmp_path: Path) -> None:
    wall = Slow()
    async with (
        asyncio.timeout(10),
        mosquitto(tmp_path) as broker,
        producer(broker, timeout=TIMEOUT) as (line,),
    ):
        async with consumers(broker, wall):
            await answering(line)
            wall.go.clear()
            wall.listing.clear()
            asking = asyncio.create_task(line.active(Digest(), time.time()))
            await wall.listing.wait()
            await asyncio.wait([asking], timeout=2 * TIMEOUT)
            assert not asking.done()
        async with consumers(broker, Filter(time.time)):
            with pytest.raises(LineUnavailable, match="anew"):
                await asking
