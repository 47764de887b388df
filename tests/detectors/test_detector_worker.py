"""The worker against a gateway's side of the socket, played by the test."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from detectors import Batch, Hello, Pipeline, Recorded, Verdict, Verdicts, verdicts_decoder, work
from detectors.alerts import AlertDetector
from detectors.recorded import INVALID
from telemetry import EventBatch, Kind, frame, read_frame

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Gateway:
    """Listens as the gateway does; each connection of the worker is handed out in turn."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.arrivals: asyncio.Queue[Streams] = asyncio.Queue()

    async def listen(self) -> asyncio.AbstractServer:
        return await asyncio.start_unix_server(lambda *streams: self.arrivals.put_nowait(streams), self.socket)

    async def connected(self) -> Streams:
        reader, writer = await asyncio.wait_for(self.arrivals.get(), 10)
        writer.write(frame(Hello("stream")))
        return reader, writer


@asynccontextmanager
async def working(socket: Path) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(work(socket, Recorded(Pipeline([AlertDetector()]), socket.parent / "kept"), stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def answer(reader: asyncio.StreamReader) -> Verdicts:
    return await asyncio.wait_for(read_frame(reader, verdicts_decoder()), 10)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "detectors.sock")


@pytest.fixture
def alert(rows: Any) -> bytes:
    batch: EventBatch = rows([1e9], kind=Kind.ALERT, address="10.0.0.1", severity=4, name="ET SCAN")
    return batch.to_bytes()


async def test_each_number_is_answered_and_verdicts_come_back(gateway: Gateway, alert: bytes) -> None:
    async with await gateway.listen(), working(gateway.socket):
        reader, writer = await gateway.connected()
        writer.write(frame(Batch(alert, 1)))
        first = await answer(reader)
        assert (first.number, [verdict.subject for verdict in first.verdicts]) == (1, ["10.0.0.1"])
        writer.write(frame(Batch(EventBatch.of([]).to_bytes(), 2)))
        assert await answer(reader) == Verdicts([], 2)
        writer.close()


async def test_what_waited_together_is_answered_together(gateway: Gateway, alert: bytes) -> None:
    async with await gateway.listen(), working(gateway.socket):
        reader, writer = await gateway.connected()
        writer.write(b"".join(frame(Batch(alert, number)) for number in range(1, 101)))
        last, verdicts = 0, 0
        while last < 100:
            told = await answer(reader)
            assert told.number > last
            last, verdicts = told.number, verdicts + len(told.verdicts)
        assert verdicts == 1
        writer.close()


async def test_a_batch_that_is_none_is_counted_and_answered(gateway: Gateway, alert: bytes) -> None:
    before = INVALID._value.get()
    async with await gateway.listen(), working(gateway.socket):
        reader, writer = await gateway.connected()
        writer.write(frame(Batch(b"junk", 1)))
        assert await answer(reader) == Verdicts([], 1)
        assert INVALID._value.get() == before + 1
        writer.write(frame(Batch(alert, 2)))
        assert len((await answer(reader)).verdicts) == 1
        writer.close()


@pytest.mark.parametrize("junk", [b"", struct.pack(">I", 3) + b"abc", struct.pack(">I", 2**32 - 1)])
async def test_after_a_broken_connection_it_comes_back(gateway: Gateway, alert: bytes, junk: bytes) -> None:
    async with await gateway.listen(), working(gateway.socket):
        _, writer = await gateway.connected()
        writer.write(junk)
        writer.write_eof()
        reader, second = await gateway.connected()
        second.write(frame(Batch(alert, 1)))
        assert (await answer(reader)).number == 1
        writer.close()
        second.close()


async def test_it_waits_for_a_gateway_that_is_not_there_yet(gateway: Gateway) -> None:
    async with working(gateway.socket):
        await asyncio.sleep(0)
        async with await gateway.listen():
            _, writer = await gateway.connected()
            writer.close()


async def test_it_stops_while_it_waits_for_batches(gateway: Gateway) -> None:
    async with await gateway.listen(), working(gateway.socket) as stop:
        _, writer = await gateway.connected()
        stop.set()
        writer.close()


class _Slow(Pipeline):
    """Judges nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__([])
        self.begun, self.go = threading.Event(), threading.Event()

    def process(self, batches: Sequence[EventBatch], now: float) -> list[Verdict]:
        self.begun.set()
        assert self.go.wait(10)
        return []


def test_a_gateway_that_dies_while_its_batches_are_judged_does_not_end_the_worker(gateway: Gateway) -> None:
    """On the loop that runs it: what is written to a connection that is gone is an error of its own there."""
    pipeline, stop = _Slow(), asyncio.Event()

    async def run() -> None:
        async with await gateway.listen():
            task = asyncio.create_task(work(gateway.socket, Recorded(pipeline, gateway.socket.parent / "kept"), stop))
            _, writer = await gateway.connected()
            for number in (1, 2):
                writer.write(frame(Batch(EventBatch.of([]).to_bytes(), number)))
                await asyncio.to_thread(pipeline.begun.wait, 10)
            writer.transport.abort()
            pipeline.go.set()
            reader, second = await gateway.connected()
            second.write(frame(Batch(EventBatch.of([]).to_bytes(), 1)))
            assert (await answer(reader)).number == 1
            stop.set()
            await task
            second.close()

    uvloop.run(asyncio.wait_for(run(), 20))
