"""The detectors' process killed at random moments with a known stream: every event counts exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from detectors import Recorded, State, Verdict, access_traffic, default_pipeline
from gateway.detection import Detection
from telemetry import Bus, EventBatch
from tests.detectors.mortal_worker import CAPACITY

DEATHS = 100 if os.environ.get("PORTCULLIS_PROVE") else 8
DEADLINE = 60.0


class Feed:
    """A gateway's end that publishes a known stream for as long as workers die."""

    def __init__(self, socket: Path) -> None:
        self.bus = Bus(10_000_000)
        self.verdicts: list[Verdict] = []
        self.published: list[EventBatch] = []
        self._socket = socket
        self._batches = self.bus.subscribe("detectors")
        self._detection = Detection(self._batches, self._judged)

    async def _judged(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(self._detection.serve(self._socket))
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def publish(self, batches: list[EventBatch], stop: asyncio.Event) -> None:
        """Some hundred events each few milliseconds, never more than waits within bounds."""
        for batch in batches:
            if stop.is_set():
                return
            self.bus.publish(batch)
            self.published.append(batch)
            await asyncio.sleep(0.005)

    async def connected(self) -> None:
        while not self._detection.connected:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def answered(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while self._detection.unanswered or self._batches.queued:  # noqa: ASYNC110  # the worker may be dying: nobody tells
                await asyncio.sleep(0.01)


@asynccontextmanager
async def worker(socket: Path, folder: Path, models: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.detectors.mortal_worker", str(socket), str(folder), str(models)
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def same(one: State, other: State) -> None:
    """The same subjects with as many events; their sums but for rounding."""
    first, second = (np.argsort(state["hashes"]) for state in (one, other))
    for name in ("hashes", "events", "adverse"):
        np.testing.assert_array_equal(one[name][first], other[name][second], err_msg=name)
    np.testing.assert_allclose(one["sums"][first], other["sums"][second], rtol=1e-3, atol=1e-3)


@pytest.mark.prove
async def test_every_event_counts_exactly_once(tmp_path: Path, models: Path) -> None:
    socket, folder, chance = tmp_path / "d.sock", tmp_path / "kept", random.Random(7)
    batches = [labelled.batch for labelled in access_traffic(5, 600.0, 0.05, 200)]
    feed, stop = Feed(socket), asyncio.Event()
    async with feed.open(), asyncio.TaskGroup() as tasks:
        tasks.create_task(feed.publish(batches * 20, stop))
        for _ in range(DEATHS):
            async with worker(socket, folder, models):
                async with asyncio.timeout(DEADLINE):
                    await feed.connected()
                await asyncio.sleep(chance.uniform(0, 0.3))
        stop.set()
        async with worker(socket, folder, models):
            await feed.answered()
    here, once = default_pipeline(models, capacity=CAPACITY), default_pipeline(models, capacity=CAPACITY)
    Recorded(here, folder).close()
    for batch in feed.published:
        once.process([batch], 2e9)
    assert len({verdict.id for verdict in feed.verdicts}) == len(feed.verdicts)
    same(here.states()["access"], once.states()["access"])
