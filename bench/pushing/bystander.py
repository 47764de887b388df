"""A bystander asks the gateway for nothing, again and again: what it waits for, everybody waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.pushing.blocks import Told

_EVERY = 0.01  # seconds
_NOTHING = b"GET /v1/nothing HTTP/1.1\r\nhost: portcullis\r\n\r\n"


@dataclass(frozen=True)
class Wait:
    """One question."""

    asked: float  # Unix seconds
    ms: float


@asynccontextmanager
async def bystander(path: Path) -> AsyncIterator[list[Wait]]:
    """What it waited for, as long as the block."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    waits: list[Wait] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(_ask(reader, writer, waits))
            yield waits
            asking.cancel()
    finally:
        writer.close()


def beside(waits: Sequence[Wait], blocks: Sequence[Told]) -> list[float]:
    """Milliseconds that those waited who asked while a block was on its way to the lines."""
    spans = [(told.accepted, told.accepted + told.last / 1000) for told in blocks]
    return [each.ms for each in waits if any(start <= each.asked <= end for start, end in spans)]


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waits: list[Wait]) -> None:
    while True:
        asked, start = time.time(), time.perf_counter()
        writer.write(_NOTHING)
        await reader.readuntil(b"\r\n\r\n")
        took = time.perf_counter() - start
        waits.append(Wait(asked, 1000 * took))
        await reader.readuntil(b"}")
        await asyncio.sleep(_EVERY)
