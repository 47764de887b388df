"""Parts that fail alone: started again, later and later; nothing else ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from defense_lines import EdgeLine, Hub, Ledger
from gateway import lines, sources
from gateway.blocklist import Blocklist
from gateway.config import Lines, NftablesLine, OpenC2Lines, Telemetry
from gateway.keeping import keep_running
from gateway.line_agents import LOCAL
from gateway.sessions import Sessions
from telemetry import Event, EventBatch, Kind, Rejects

DEADLINE = 20.0


async def test_a_part_starts_again_later_and_later_and_soon_after_a_long_run() -> None:
    now, pauses, runs = 0.0, list[float](), list[float]()

    async def part() -> None:
        nonlocal now
        runs.append(now)
        now += 100.0 if len(runs) == 9 else 0.0
        if len(runs) < 10:
            raise ExceptionGroup("its own", [ValueError("bug")])

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    await keep_running("test", part, sleep, lambda: now)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 0.5]
    assert len(runs) == 10


async def test_cancelling_ends_it() -> None:
    started = asyncio.Event()

    async def part() -> None:
        started.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(keep_running("test", part))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_source_that_fails_leaves_the_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad, seen, failed = tmp_path / "good.json", tmp_path / "bad.json", asyncio.Event(), asyncio.Event()

    def publish(batch: EventBatch) -> None:
        if "bad" in batch.source.values[0]:
            failed.set()
            raise RuntimeError("a bug of this source's own")
        seen.set()

    def parse(line: bytes, source: str) -> Event:
        return Event(time=1.0, kind=Kind.FLOW, source=source)

    monkeypatch.setattr(sources, "parse_eve", parse)
    settings = Telemetry(eve=(good, bad))
    positions = tmp_path / "positions"
    running = asyncio.create_task(sources.run_sources(settings, publish, Rejects(), positions))
    async with asyncio.timeout(DEADLINE):
        while not failed.is_set():
            _append(bad)
            await asyncio.sleep(0.02)
        while not seen.is_set():
            _append(good)
            await asyncio.sleep(0.02)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(list(positions.iterdir())) == 2


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"1\n")


async def test_an_openc2_line_that_breaks_is_away_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, again = asyncio.Event(), asyncio.Event()

    async def run(self: object, connected: object) -> None:
        if broken.is_set():
            again.set()
            await asyncio.Event().wait()
        broken.set()
        raise RuntimeError("a bug in the driver")

    monkeypatch.setattr("defense_lines.lines.openc2_producer.Producer.run", run)
    openc2 = OpenC2Lines(consumers=("openc2",), signing_key=tmp_path / "openc2.key")
    settings = Lines(openc2=openc2, nftables=NftablesLine())
    assert lines.expected_lines(settings) == (LOCAL, "openc2")
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        hub = Hub(ledger, [EdgeLine(Blocklist(Sessions()))], expected=lines.expected_lines(settings))
        assert [(line.name, line.state) for line in hub.status()][1:] == [("nftables", "away"), ("openc2", "away")]
        async with asyncio.timeout(DEADLINE):
            running = asyncio.create_task(lines.run_lines(settings, hub, ledger, tmp_path / "lines.sock"))
            await broken.wait()
            await asyncio.sleep(0)
            assert {line.name: line.state for line in hub.status()}["openc2"] == "away"
            await again.wait()
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
