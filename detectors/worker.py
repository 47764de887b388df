"""The detector process: connects to the gateway, judges what arrived, answers, and comes back when it is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from prometheus_client import Counter

from detectors.pipeline import Pipeline
from detectors.verdict import Verdict
from detectors.wire import Batch, Verdicts, batch_decoder
from telemetry import EventBatch, FrameError, InvalidBatch, concatenate, frame, read_frame

_WAITING = 64  # batches read ahead; when they are full we stop reading, and the gateway sees that nothing is answered
_LOOK = 1.0  # seconds between looks at what is in force
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 2.0  # seconds before the next attempt to connect

CONNECTIONS = Counter("portcullis_detectors_connections_total", "Connections to the gateway made")
BATCHES = Counter("portcullis_detectors_batches_total", "Batches answered")
INVALID = Counter("portcullis_detectors_invalid_batches_total", "Batches that could not be read; answered, not judged")
BROKEN = Counter("portcullis_detectors_broken_connections_total", "Connections ended for a frame that was none")
_log = structlog.get_logger()


async def work(socket: Path, pipeline: Pipeline, stop: asyncio.Event) -> None:
    """Serve the gateway at `socket` until `stop`. What the detectors know outlives a connection, and a promoted model.

    Raises what a detector raises: the supervisor starts another worker.
    """
    looking = asyncio.create_task(_look(pipeline))
    try:
        await _connect(socket, pipeline, stop)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _look(pipeline: Pipeline) -> None:
    """Load what is promoted, beside the detectors that go on judging."""
    while True:
        await asyncio.sleep(_LOOK)
        await asyncio.to_thread(pipeline.look)


async def _connect(socket: Path, pipeline: Pipeline, stop: asyncio.Event) -> None:
    delay = _FIRST_DELAY
    while not stop.is_set():
        with suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(socket)
            CONNECTIONS.inc()
            try:
                if await _until(stop, _serve(reader, writer, pipeline)):
                    delay = _FIRST_DELAY
            finally:
                writer.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay)
        delay = min(delay * 2, _LONGEST_DELAY)


async def _until(stop: asyncio.Event, serving: Coroutine[None, None, int]) -> int:
    """Run until it ends by itself or is told to stop; how many batches it answered."""
    task = asyncio.create_task(serving)
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else 0
    finally:
        for one in (task, waiting):
            one.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pipeline: Pipeline) -> int:
    waiting: asyncio.Queue[Batch | None] = asyncio.Queue(_WAITING)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_read(reader, waiting))
        return await _answer(writer, waiting, pipeline)


async def _read(reader: asyncio.StreamReader, waiting: asyncio.Queue[Batch | None]) -> None:
    """Until the gateway closes; None is the end."""
    decoder = batch_decoder()
    try:
        while True:
            batch = await read_frame(reader, decoder)
            await waiting.put(batch)
    except (EOFError, OSError):
        await waiting.put(None)
    except FrameError as error:
        BROKEN.inc()
        _log.error("not_a_frame", error=str(error))
        await waiting.put(None)


async def _answer(writer: asyncio.StreamWriter, waiting: asyncio.Queue[Batch | None], pipeline: Pipeline) -> int:
    answered = 0
    while True:
        arrived = [await waiting.get()]
        while not waiting.empty():
            arrived.append(waiting.get_nowait())
        batches = [batch for batch in arrived if batch is not None]
        if batches:
            verdicts = await asyncio.to_thread(_judge, pipeline, batches)
            if not writer.is_closing():  # the gateway may have died meanwhile
                writer.write(frame(Verdicts(verdicts, batches[-1].number)))
                with suppress(OSError):  # the reader learns of it, too, and ends this connection
                    await writer.drain()
                BATCHES.inc(len(batches))
                answered += len(batches)
        if None in arrived:
            return answered


def _judge(pipeline: Pipeline, batches: Sequence[Batch]) -> list[Verdict]:
    events = []
    for batch in batches:
        try:
            events.append(EventBatch.from_bytes(batch.data))
        except InvalidBatch as error:
            INVALID.inc()
            _log.error("invalid_batch", number=batch.number, error=str(error))
    return pipeline.process(concatenate(events)) if events else []
