"""The gateway's end of the detectors' socket with a worker at the other: what goes in, and what comes back."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp

from bench.result import CannotRun
from deploy.demo.ports import free_port
from detectors import Verdict
from gateway.detection import Detection
from telemetry import Bus, EventBatch

_QUEUED = 4_000_000  # events that may wait on the bus: some seconds
_SCORES = "portcullis_detectors_scores_total{"
_START = 60.0  # seconds that a worker may take to connect


class Feed:
    """Publishes on a bus of its own; keeps when each verdict came."""

    def __init__(self, worker: int, port: int) -> None:
        self.worker = worker  # its process
        self._port = port  # where it shows its metrics
        self.bus = Bus(_QUEUED)
        self.queue = self.bus.subscribe("detectors")
        self.detection = Detection(self.queue, self._judged)
        self.verdicts: list[tuple[float, Verdict]] = []  # with the time at which each came

    async def _judged(self, verdict: Verdict) -> None:
        self.verdicts.append((time.time(), verdict))

    async def room(self, waiting: int) -> None:
        """Until no more events than these wait, on the bus and on their way."""
        while self.queue.queued > waiting or self.detection.unanswered > 8:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.001)

    async def done(self) -> None:
        """Until all is answered."""
        while self.queue.queued or self.detection.unanswered:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def shed(self) -> int:
        """Events that were lost on the way."""
        return self.queue.shed.total()

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU: ours, the worker's."""
        ours = resource.getrusage(resource.RUSAGE_SELF)
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return ours.ru_utime + ours.ru_stime, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def scores(self) -> float:
        """Subjects that the worker has scored, each as often as it was."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self._port}/metrics") as answer:
            rows = (await answer.text()).splitlines()
        return sum(float(row.rpartition(" ")[2]) for row in rows if row.startswith(_SCORES))

    def memory(self) -> float:
        """Megabytes that the worker has in memory."""
        pages = int(Path(f"/proc/{self.worker}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@asynccontextmanager
async def feeding(folder: Path, models: Path) -> AsyncIterator[Feed]:
    """A feed with a worker that is connected, and knows nothing yet. Raises CannotRun."""
    socket, state, port = folder / "d.sock", folder / f"state-{uuid4()}", free_port()
    worker = ("-m", "bench.eventing.worker", str(socket), str(state), str(models), str(port))
    process = await asyncio.create_subprocess_exec(sys.executable, *worker, start_new_session=True)
    feed = Feed(process.pid, port)
    serving = asyncio.create_task(feed.detection.serve(socket))
    try:
        async with asyncio.timeout(_START):
            while not feed.detection.connected:
                if process.returncode is not None:
                    raise CannotRun("the worker did not start")
                await asyncio.sleep(0.01)
        yield feed
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with whoever writes a checkpoint for it
        await process.wait()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def publish(feed: Feed, batches: list[EventBatch]) -> int:
    """Publish a stretch of telemetry; how many events."""
    for batch in batches:
        feed.bus.publish(batch)
    return sum(map(len, batches))
