"""What `bench invalidate` is made of: whose a connection is, what counts for a worker, and the whole of it, briefly."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from bench.invalidate import measure
from bench.invalidating.figures import percentile
from bench.invalidating.lane import Sample
from bench.invalidating.load import load
from bench.invalidating.marks import marks
from bench.invalidating.probe import Probe, Start, probe
from bench.invalidating.window import window, workers_of
from bench.result import CannotRun
from gateway.edge import EPOCHS_FILE, Epochs

HEADER = "x-decided-by"
DEADLINE = 20.0  # seconds
WORKERS = {0: 0, 1: 1, 2: 0}
MS = 1_000_000  # nanoseconds


def sample(lane: int, asked: int, answered: int, status: int = 200, mark: str = "old") -> Sample:
    return Sample(lane, asked * MS, answered * MS, status, mark)


def test_the_first_refusal_of_each_worker_counts() -> None:
    samples = [
        sample(0, 8, 9),
        sample(0, 9, 12),
        sample(2, 11, 15, 403),
        sample(0, 12, 14, 403),  # asked later than the one above, and answered sooner
        sample(1, 9, 13),
        sample(1, 13, 18, 403),
    ]
    found = window(samples, WORKERS, start=10 * MS, marked=11 * MS, acknowledged=20 * MS)
    assert found.workers_ms == [4.0, 8.0]
    assert found.anew_ms == [2.0, 5.0]
    assert found.asking_ms == [1.0]  # answered before the order
    assert (found.marked_ms, found.acknowledged_ms, found.stale) == (1.0, 10.0, 0)


def test_an_old_answer_to_what_was_asked_after_the_acknowledgement_is_stale() -> None:
    samples = [sample(0, 10, 11, 403), sample(1, 10, 12, 403), sample(1, 11, 14), sample(1, 12, 13)]
    found = window([*samples, sample(0, 13, 15, 403)], WORKERS, start=9 * MS, marked=None, acknowledged=12 * MS)
    assert (found.after, found.stale) == (2, 1)


def test_a_worker_that_never_refuses_and_an_error_end_it() -> None:
    with pytest.raises(CannotRun, match="the old answer"):
        window([sample(0, 10, 11, 403), sample(1, 10, 12)], WORKERS, 9 * MS, None, 12 * MS)
    with pytest.raises(CannotRun, match="503"):
        window([sample(0, 10, 11, 503), sample(1, 10, 12, 403)], WORKERS, 9 * MS, None, 12 * MS)


def test_connections_that_share_an_answer_share_a_worker() -> None:
    def asked(*marks: str) -> list[Sample]:
        return [sample(place % 3, 0, 1, mark=mark) for place, mark in enumerate(marks)]

    assert workers_of(asked("a", "b", "a", "a", "b", "a"), 2) == {0: 0, 1: 1, 2: 0}
    assert workers_of(asked("a", "b", "c", "a", "b", "a"), 2) is None  # the third was not given again
    assert workers_of(asked("a", "a", "a", "a", "a", "a"), 2) is None  # one worker has them all
    assert workers_of(asked("a", "b", "a"), 2) is None  # who knows
    assert workers_of(asked("", "b", "", "", "b", ""), 2) is None


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile([3.0], 99)) == (51.0, 100.0, 3.0)


def test_marks_are_those_that_the_gateway_makes(tmp_path: Path) -> None:
    epochs = Epochs(tmp_path / EPOCHS_FILE)
    with marks(tmp_path / EPOCHS_FILE) as seen:
        everything, alice = seen.of("", ""), seen.of("principal", "person:alice")
        epochs.touch("principal", "person:alice")
        assert seen.until("principal", "person:alice", alice, lambda: False) is not None
        assert seen.until("", "", everything, lambda: True) is None
        epochs.everything()
        assert seen.until("", "", everything, lambda: False) is not None
    epochs.close()


@dataclass
class Edge:
    """Answers in the name of two workers, which connections come to in turn."""

    port: int = 0
    refuses: bool = False
    awaited: int = 0  # requests, until it is time
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    proofs: set[str] = field(default_factory=set)
    numbers: count[int] = field(default_factory=count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker = next(self.numbers) % 2
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                self._note(request.decode())
                head = "HTTP/1.1 403 Forbidden" if self.refuses else "HTTP/1.1 200 OK"
                mark = f"new-{next(self.numbers)}" if self.refuses else f"old-{worker}"
                writer.write(f"{head}\r\n{HEADER}: {mark}\r\ncontent-length: 2\r\n\r\nok".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _note(self, request: str) -> None:
        self.proofs.add(request.partition("authorization: ")[2].partition("\r")[0])
        self.awaited -= 1
        if self.awaited == 0:
            self.asked.set()


@asynccontextmanager
async def edge() -> AsyncIterator[Edge]:
    made = Edge()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def test_the_probe_asks_until_every_connection_has_another_answer() -> None:
    async with edge() as served:

        def asks() -> list[Sample]:
            with probe(Start(served.port, "/accounts/1001", HEADER, 4)) as asking:
                assert workers_of(asking.passes("token", 2), 2) == {0: 0, 1: 1, 2: 0, 3: 1}
                asking.keep([1, 2])
                return _until_refused(asking, served)

        samples = await asyncio.to_thread(asks)
    assert {one.lane for one in samples} == {1, 2}
    assert {one.status for one in samples} <= {200, 403}
    found = window(samples, {1: 1, 2: 0}, start=samples[0].asked, marked=None, acknowledged=samples[-1].answered)
    assert all(each > 0 for each in found.workers_ms)
    assert found.stale == 0


def _until_refused(asking: Probe, served: Edge) -> list[Sample]:
    asking.begin("token")
    served.refuses = True
    return asking.end()


async def test_an_edge_that_goes_ends_the_probe() -> None:
    async with edge() as served:
        with probe(Start(served.port, "/", HEADER, 1)) as asking:
            await asyncio.to_thread(asking.passes, "token", 1)
            with pytest.raises(CannotRun, match="the probe has ended"):
                await asyncio.to_thread(_nonsense, asking)


def _nonsense(asking: Probe) -> None:
    asking.end()  # before it has begun


async def test_the_load_asks_until_it_is_left() -> None:
    if shutil.which("h2load") is None:
        pytest.skip("needs h2load")
    async with edge() as served:
        served.awaited = 50
        async with load(f"http://127.0.0.1:{served.port}/", ["one", "other"], rate=200):
            await asyncio.wait_for(served.asked.wait(), DEADLINE)
    assert served.proofs == {"Bearer one", "Bearer other"}


@pytest.mark.system
async def test_few_signals_reach_every_worker_and_nothing_is_stale() -> None:
    if shutil.which("h2load") is None or shutil.which("wrk") is None:
        pytest.skip("needs h2load and wrk")
    result = await measure(signals=5)
    figures = result.figures
    assert figures["stale_after_acknowledged"] == 0 < figures["asked_after_acknowledged"]
    assert figures["load_refused"] == 0
    assert figures["load_per_second"] > 0
    assert 0 < figures["marked_p50_ms"] <= figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert figures["max_ms"] < figures["bound_ms"] == 5_000
    assert 0 < figures["push_p50_ms"] <= figures["push_last_worker_max_ms"]
    for kind in ("agent", "data"):
        assert 0 < figures[f"{kind}_p50_ms"] <= figures[f"{kind}_last_worker_max_ms"]
