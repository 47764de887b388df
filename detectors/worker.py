"""The detector process: connects to the gateway, judges what arrived, answers, and comes back when it is cut off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
from prometheus_client import Counter

from detectors.recorded import Recorded
from detectors.wire import MOST_UNANSWERED, Batch, Hello, Verdicts, batch_decoder
from telemetry import FrameError, Reader, SocketReader, frame, read_frame

_LOOK = 1.0  # seconds between looks at what is in force
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 2.0  # seconds before the next attempt to connect

CONNECTIONS = Counter("portcullis_detectors_connections_total", "Connections to the gateway made")
BATCHES = Counter("portcullis_detectors_batches_total", "Batches answered")
BROKEN = Counter("portcullis_detectors_broken_connections_total", "Connections ended for a frame that was none")
_log = structlog.get_logger()


async def work(path: Path, pipeline: Recorded, stop: asyncio.Event) -> None:
    """Serve the gateway at a socket until `stop`. What the detectors know outlives a connection, and a promoted model.

    Raises what a detector raises: the supervisor starts another worker.
    """
    looking = asyncio.create_task(_look(pipeline))
    try:
        await _connect(path, pipeline, stop)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _look(pipeline: Recorded) -> None:
    """Load what is promoted, beside the detectors that go on judging."""
    while True:
        await asyncio.sleep(_LOOK)
        await asyncio.to_thread(pipeline.look)


async def _connect(path: Path, pipeline: Recorded, stop: asyncio.Event) -> None:
    delay = _FIRST_DELAY
    while not stop.is_set():
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gateway:
            gateway.setblocking(False)
            await asyncio.get_running_loop().sock_connect(gateway, str(path))
            CONNECTIONS.inc()
            if await _until(stop, _serve(gateway, pipeline)):
                delay = _FIRST_DELAY
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


async def _serve(gateway: socket.socket, pipeline: Recorded) -> int:
    reader, decoder = SocketReader(gateway), batch_decoder()
    try:
        hello = await read_frame(reader, decoder)
    except (EOFError, OSError):
        return 0
    except FrameError as error:
        return _broken(error)
    if not isinstance(hello, Hello):
        return _broken("a batch before the greeting")
    waiting: asyncio.Queue[Batch | None] = asyncio.Queue(MOST_UNANSWERED)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_read(reader, decoder, waiting))
        return await _answer(gateway, hello.stream, waiting, pipeline)


async def _read(
    reader: Reader,
    decoder: msgspec.msgpack.Decoder[Hello | Batch],
    waiting: asyncio.Queue[Batch | None],
) -> None:
    """Until the gateway closes; None is the end. A full queue stops us, and the gateway sees it unanswered."""
    try:
        while isinstance(message := await read_frame(reader, decoder), Batch):
            await waiting.put(message)
        _broken("a greeting among batches")
    except (EOFError, OSError):
        pass
    except FrameError as error:
        _broken(error)
    await waiting.put(None)


def _broken(why: object) -> int:
    BROKEN.inc()
    _log.error("not_a_frame", error=str(why))
    return 0


async def _answer(gateway: socket.socket, stream: str, waiting: asyncio.Queue[Batch | None], pipeline: Recorded) -> int:
    answered, loop = 0, asyncio.get_running_loop()
    while True:
        arrived = [await waiting.get()]
        while not waiting.empty():
            arrived.append(waiting.get_nowait())
        batches = [batch for batch in arrived if batch is not None]
        if batches:
            verdicts = await asyncio.to_thread(pipeline.judge, stream, batches)
            with suppress(OSError):  # the gateway may have died meanwhile: the reader learns of it, too, and ends this
                await loop.sock_sendall(gateway, frame(Verdicts(verdicts, batches[-1].number)))
                BATCHES.inc(len(batches))
                answered += len(batches)
        if None in arrived:
            return answered
