"""The gateway's end of the detectors' socket: batches go out, verdicts come back.

The worker is another process; when it is away or slow, batches wait on the bus, which sheds the noisiest source and
counts it. A batch counts as done when the worker has answered it; what it had not answered is sent again to the next,
under the same number.
Verdicts are acted upon beside each other, as many at a time as are few; beyond that the worker waits, and so the bus.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import structlog
from prometheus_client import Counter, Gauge

from detectors import MOST_UNANSWERED, Batch, Hello, Verdict, verdicts_decoder
from telemetry import MAX_FRAME, EventBatch, FrameError, Subscription, frame, read_frame

_log = structlog.get_logger()
_SENT = Counter("portcullis_gateway_detector_events_total", "Events sent to the detectors")
_WAITING = Gauge("portcullis_gateway_detector_batches_waiting", "Batches that the detectors have not answered")
_DROPPED = Counter("portcullis_gateway_detector_events_dropped_total", "Events too large for a frame of their own")
_FAILED = Counter("portcullis_gateway_verdicts_failed_total", "Verdicts that could not be acted upon")
_FRAMED = MAX_FRAME - 256  # bytes of events that leave room for what a frame adds
_MOST_AT_WORK = 1000  # verdicts being acted upon: waiting for policy or for the disk
_MOST_KNOWN = 4096  # verdicts remembered as taken up
_VERDICTS = verdicts_decoder()


class Detection:
    """Feeds whichever worker is connected; one at a time, the newest wins."""

    def __init__(self, batches: Subscription, judged: Callable[[Verdict], Awaitable[None]]) -> None:
        self._batches = batches
        self._judged = judged
        self._stream = secrets.token_hex(8)
        self._numbers = count(1)
        self._unanswered: deque[Batch] = deque()  # in the order of their numbers
        self._known: dict[str, None] = {}  # ids of verdicts taken up lately
        self._room = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._places = asyncio.Semaphore(_MOST_AT_WORK)
        self._work: asyncio.TaskGroup | None = None  # outlives each worker

    @property
    def connected(self) -> bool:
        """Whether a worker is listening."""
        return self._worker is not None and not self._worker.done()

    @property
    def unanswered(self) -> int:
        """Batches on their way."""
        return len(self._unanswered)

    async def serve(self, socket: Path) -> None:
        """Listen until cancelled."""
        server = await asyncio.start_unix_server(self._take, str(socket))
        async with asyncio.TaskGroup() as self._work, server:
            await server.serve_forever()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._worker is not None:
            self._worker.cancel()
        self._worker = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(writer))
                await self._receive(reader)
                sending.cancel()
        except* (OSError, FrameError) as errors:
            _log.warning("detectors went away", error=str(errors.exceptions[0]))
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(Hello(self._stream)))
        for batch in self._unanswered:
            writer.write(frame(batch))
        await writer.drain()
        while True:
            while len(self._unanswered) >= MOST_UNANSWERED:
                self._room.clear()
                await self._room.wait()
            events = await self._batches.next()
            _SENT.inc(len(events))
            for data in _packed(events):
                self._put(writer, Batch(data=data, number=next(self._numbers)))
                await writer.drain()

    def _put(self, writer: asyncio.StreamWriter, batch: Batch) -> None:
        framed = frame(batch)  # before it counts as sent: what cannot be framed would be sent again for ever
        self._unanswered.append(batch)
        _WAITING.set(len(self._unanswered))
        writer.write(framed)

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        with suppress(EOFError):
            while True:
                answer = await read_frame(reader, _VERDICTS)
                for verdict in answer.verdicts:
                    await self._take_up(verdict)
                self._answered(answer.number)

    async def _take_up(self, verdict: Verdict) -> None:
        """Begin to act upon it; waits only where too many are being acted upon. One that comes again is known: a worker
        may have gone while its answer was being taken up, and the next one gives the same.
        """
        if verdict.id in self._known:
            return
        self._known[verdict.id] = None
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        await self._places.acquire()
        if self._work:
            self._work.create_task(self._act(verdict))

    async def _act(self, verdict: Verdict) -> None:
        try:
            await self._judged(verdict)
        except Exception as error:
            _FAILED.inc()
            _log.exception("verdict not acted upon", verdict=verdict.id, error=repr(error))
        finally:
            self._places.release()

    def _answered(self, number: int) -> None:
        """One answer covers every lower number."""
        while self._unanswered and self._unanswered[0].number <= number:
            self._unanswered.popleft()
        _WAITING.set(len(self._unanswered))
        self._room.set()


def _packed(events: EventBatch) -> Iterator[bytes]:
    """The events, in halves of halves until each fits a frame; one that fits none is dropped and counted."""
    data = events.to_bytes()
    if len(data) <= _FRAMED:
        yield data
    elif len(events) > 1:
        middle = len(events) // 2
        yield from _packed(events.take(slice(middle)).compact())
        yield from _packed(events.take(slice(middle, None)).compact())
    else:
        _DROPPED.inc()
        _log.error("event too large for the detectors", source=events.source.text(0)[:128], bytes=len(data))
