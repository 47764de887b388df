"""The detectors' socket: every batch is answered or sent again, every verdict is acted upon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from detectors import Batch, Hello, Verdict, Verdicts, batch_decoder
from gateway import detection
from gateway.detection import Detection
from telemetry import Bus, Event, EventBatch, Kind, frame, read_frame

DEADLINE = 5.0
_BATCHES = batch_decoder()


@dataclass
class Worker:
    """The other end, as a worker speaks."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def greeted(self) -> Hello:
        async with asyncio.timeout(DEADLINE):
            message = await read_frame(self.reader, _BATCHES)
        assert isinstance(message, Hello)
        return message

    async def next(self) -> Batch:
        async with asyncio.timeout(DEADLINE):
            message = await read_frame(self.reader, _BATCHES)
        assert isinstance(message, Batch)
        return message

    def answer(self, number: int, *verdicts: Verdict) -> None:
        self.writer.write(frame(Verdicts(verdicts=list(verdicts), number=number)))


class Link:
    """A bus, and a Detection that listens."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.bus = Bus(10_000)
        self.verdicts: asyncio.Queue[Verdict] = asyncio.Queue()
        self.detection = Detection(self.bus.subscribe("detectors"), self._judge)
        self.at_work = 0
        self.streams: list[str] = []  # whose numbers each worker was told would come
        self.disk: asyncio.Event | None = None  # until when no verdict is done with

    async def _judge(self, verdict: Verdict) -> None:
        self.at_work += 1
        if self.disk:
            await self.disk.wait()
        self.at_work -= 1
        if verdict.id == "v-broken":
            raise RuntimeError("a bug in what acts upon verdicts")
        await self.verdicts.put(verdict)

    def publish(self, name: str) -> None:
        self.bus.publish(EventBatch.of([Event(time=1.0, kind=Kind.REQUEST, source="edge", name=name)]))

    async def verdict(self) -> Verdict:
        async with asyncio.timeout(DEADLINE):
            return await self.verdicts.get()

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        try:
            worker = Worker(reader, writer)
            self.streams.append((await worker.greeted()).stream)
            yield worker
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[Link]:
    made = Link(tmp_path / "d.sock")
    serving = asyncio.create_task(made.detection.serve(made.socket))
    async with asyncio.timeout(DEADLINE):
        while not made.socket.exists():  # noqa: ASYNC110  # bound within the loop's next turns
            await asyncio.sleep(0)
    yield made
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def verdict(name: str = "v-1") -> Verdict:
    return Verdict(
        id=name, time=1.0, detector="access", kind="actor", subject="agent:a", score=1.0, threshold=0.5,
        evidence=("e",), technique="T1087", model="m", since=0.0,
    )  # fmt: skip


def names(batch: Batch) -> list[str]:
    return list(EventBatch.from_bytes(batch.data).name)


async def test_events_go_out_and_verdicts_come_back(link: Link) -> None:
    async with link.worker() as worker:
        link.publish("one")
        batch = await worker.next()
        assert (batch.number, names(batch)) == (1, ["one"])
        worker.answer(1, verdict())
        assert await link.verdict() == verdict()
        assert link.detection.connected


async def test_what_a_worker_did_not_answer_the_next_one_gets(link: Link) -> None:
    async with link.worker() as first:
        for name in ("one", "two"):
            link.publish(name)
            await first.next()
        first.answer(1, verdict())
        await link.verdict()
    async with link.worker() as second:
        batch = await second.next()
        assert (batch.number, names(batch)) == (2, ["two"])
        link.publish("three")
        batch = await second.next()
        assert (batch.number, names(batch)) == (3, ["three"])
    assert len(link.streams) == 2
    assert len(set(link.streams)) == 1


async def test_a_verdict_that_comes_again_is_acted_upon_once(link: Link) -> None:
    """As when one worker's answer was half taken up when the next one came."""
    async with link.worker() as worker:
        link.publish("one")
        await worker.next()
        worker.answer(0, verdict("v-1"))
        worker.answer(1, verdict("v-1"), verdict("v-2"))
        assert [(await link.verdict()).id for _ in range(2)] == ["v-1", "v-2"]
        assert link.verdicts.empty()


async def test_one_answer_covers_every_lower_number(link: Link) -> None:
    async with link.worker() as first:
        for name in ("one", "two", "three"):
            link.publish(name)
            await first.next()
        first.answer(3, verdict())
        await link.verdict()
    async with link.worker() as second:
        link.publish("four")
        assert names(await second.next()) == ["four"]


async def test_a_slow_worker_makes_the_bus_wait(link: Link) -> None:
    async with link.worker() as worker:
        for number in range(1, 65):
            link.publish(str(number))
            assert (await worker.next()).number == number
        link.publish("waits")
        link.publish("waits too")
        worker.answer(64, verdict())
        await link.verdict()
        assert names(await worker.next()) == ["waits", "waits too"]


@pytest.mark.parametrize("junk", [b"\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\x00"])
async def test_junk_ends_the_connection_and_nothing_else(link: Link, junk: bytes) -> None:
    async with link.worker() as bad:
        bad.writer.write(junk)
        bad.writer.write_eof()
        async with asyncio.timeout(DEADLINE):
            assert await bad.reader.read() == b""
    async with link.worker() as good:
        link.publish("one")
        assert names(await good.next()) == ["one"]


async def test_verdicts_do_not_wait_for_each_other_and_a_batch_is_answered_once_they_are_taken(link: Link) -> None:
    link.disk = asyncio.Event()
    async with link.worker() as first:
        for name in ("one", "two"):
            link.publish(name)
            await first.next()
        first.answer(1, *(verdict(f"v-{number}") for number in range(100)))
        async with asyncio.timeout(DEADLINE):
            while link.at_work < 100:  # noqa: ASYNC110  # what acts upon them tells nobody
                await asyncio.sleep(0)
    async with link.worker() as second:
        assert names(await second.next()) == ["two"]
        link.disk.set()
        assert {(await link.verdict()).id for _ in range(100)} == {f"v-{number}" for number in range(100)}


async def test_too_many_verdicts_at_work_make_the_worker_wait(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    link.disk = asyncio.Event()
    async with link.worker() as worker:
        link.publish("one")
        await worker.next()
        worker.answer(1, *(verdict(f"v-{number}") for number in range(1500)))
        async with asyncio.timeout(DEADLINE):
            while link.at_work < 1000:  # noqa: ASYNC110
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert link.at_work == 1000
        link.disk.set()
        for _ in range(1500):
            await link.verdict()


async def test_a_verdict_that_breaks_what_acts_upon_it_breaks_nothing_else(link: Link) -> None:
    async with link.worker() as worker:
        link.publish("one")
        await worker.next()
        worker.answer(1, verdict("v-broken"), verdict("v-2"))
        assert (await link.verdict()).id == "v-2"
        link.publish("two")
        assert names(await worker.next()) == ["two"]


async def test_what_fits_no_frame_goes_in_halves_and_is_not_sent_again_for_ever(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "_FRAMED", 10_000)
    texts = ["a", "b" * 4_000, "c", "d" * 20_000, "e" * 6_000, "f" * 6_000]
    async with link.worker() as worker:
        link.bus.publish(
            EventBatch.of([Event(time=1.0, kind=Kind.REQUEST, source="edge", name=text) for text in texts])
        )
        batches = [await worker.next() for _ in range(3)]
        assert [batch.number for batch in batches] == [1, 2, 3]
        assert [name for batch in batches for name in names(batch)] == [text for text in texts if len(text) < 20_000]
        worker.answer(3, verdict())
        await link.verdict()
    async with link.worker() as next_one:
        link.publish("later")
        assert names(await next_one.next()) == ["later"]
