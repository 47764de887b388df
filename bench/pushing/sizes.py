"""How long OpenC2's messages are, by who listens for a while: the peer is to carry as much."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mqtt5 import PublishPacket

from bench.pushing.fanout import Sizes
from defense_lines.agent.openc2_mqtt import Broker, Connection, stay_connected

T = TypeVar("T")
_COMMANDS, _ANSWERS = "oc2/cmd/#", "oc2/rsp/#"


async def sizes(port: int, meanwhile: Callable[[], Awaitable[T]]) -> tuple[Sizes, T]:
    """The longest command and the longest answer of what is done meanwhile, and what came of that."""
    longest = {"cmd": 0, "rsp": 0}
    there = asyncio.Event()

    def received(connection: Connection, message: PublishPacket) -> None:
        connection.acknowledge(message)
        part = message.topic.split("/")[1]
        longest[part] = max(longest[part], len(message.payload))

    async def converse(connection: Connection) -> None:
        there.set()
        await connection.ended()

    async with asyncio.TaskGroup() as tasks:
        topics = (_COMMANDS, _ANSWERS)
        listening = tasks.create_task(stay_connected(Broker(port=port), "sizes", topics, received, converse))
        await there.wait()
        came = await meanwhile()
        listening.cancel()
    return Sizes(longest["cmd"], longest["rsp"]), came
