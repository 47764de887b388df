"""Telemetry through the detectors: columns to verdicts, lines of text to verdicts, and how soon a verdict is there.

    columns   the worker's process is fed as the gateway feeds it, as fast as it answers: events a second
    latency   100,000 events a second: from an event's own time to the verdict in the gateway's hands
    lines     Suricata's EVE and Zeek's text, parsed beside the feed as a gateway does: lines a second
    memory    the worker's, while columns flow for `--minutes`
    peers     Kitsune's feature extractor and ours on the same packets; river's HalfSpaceTrees on our features

Gateway's end, worker and all that they need run on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvloop

from bench.eventing import peers
from bench.eventing.feed import Feed, feeding, publish
from bench.eventing.lines import COUNTS, Texts, read, write_texts
from bench.eventing.traffic import ATTACKERS, SUBJECTS, Traffic, is_attacker
from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from detectors import put_defaults

PARTS = ("columns", "latency", "lines", "memory", "peers")
ROWS = 262_144  # of a stretch of telemetry, over all sources
WARM, LENGTH = 4.0, 10.0  # seconds of a round
JOURNALS = 25.0  # seconds of warm-up for columns: by then a journal is full, its checkpoint written, and the next begun
RATE, EVERY = 100_000, 0.025  # events a second where latency is measured; seconds between two hand-overs of a source
Figures = dict[str, float]


async def columns(feed: Feed, seconds: float) -> Figures:
    """As many events as are answered in that time, all of them fresh from the sources' clock."""
    traffic = Traffic(1, ROWS)
    await _pour(feed, traffic, JOURNALS)
    scored, (ours, theirs), before = await feed.scores(), feed.cpu(), time.perf_counter()
    sent = await _pour(feed, traffic, seconds)
    took = time.perf_counter() - before
    end_ours, end_theirs = feed.cpu()
    attackers = {verdict.subject for _, verdict in feed.verdicts if is_attacker(verdict.subject)}
    accused = {verdict.subject for _, verdict in feed.verdicts} - attackers
    if feed.shed():
        raise CannotRun(f"{feed.shed()} events were shed")
    return {
        "events_per_s": sent / took,
        "scores_per_s": (await feed.scores() - scored) / took,
        "gateway_cpu_us": 1e6 * (end_ours - ours) / sent,
        "worker_cpu_us": 1e6 * (end_theirs - theirs) / sent,
        "attackers_caught_percent": 100 * len(attackers) / ATTACKERS,
        "accused_per_100000": 1e5 * len(accused) / SUBJECTS,
    }


async def _pour(feed: Feed, traffic: Traffic, seconds: float) -> int:
    """Keep the queue filled, no more than that; how many events were answered."""
    sent, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        await feed.room(ROWS)
        sent += publish(feed, traffic.batches(time.time() - 0.2, 0.2))
    await feed.done()
    return sent


async def latency(feed: Feed, seconds: float) -> Figures:
    """Sources hand over each 25 ms, as the edge does, what happened in them. An alert of the highest severity is judged
    by itself: each one's own time is known from its verdict, and from it on nothing else than the way counts.
    """
    traffic, rows = Traffic(2, int(RATE * EVERY)), int(RATE * EVERY)
    await _paced(feed, traffic, rows, WARM)
    feed.verdicts.clear()
    await _paced(feed, traffic, rows, seconds)
    took = [1000 * (came - verdict.since) for came, verdict in feed.verdicts if verdict.detector == "alert"]
    if len(took) < 100:
        raise CannotRun(f"only {len(took)} alerts were judged")
    return {f"verdict_p{share}_ms": float(np.percentile(took, share)) for share in (50, 99)} | {
        "verdict_max_ms": max(took),
        "verdicts": float(len(took)),
    }


async def _paced(feed: Feed, traffic: Traffic, rows: int, seconds: float) -> None:
    start, loop = time.time(), asyncio.get_running_loop()
    begun = loop.time()
    for step in range(int(seconds / EVERY)):
        await asyncio.sleep(begun + (step + 1) * EVERY - loop.time())
        publish(feed, [*traffic.batches(start + step * EVERY, EVERY), traffic.alarm(start + step * EVERY, EVERY, step)])
    await feed.done()


async def lines(feed: Feed, texts: Texts) -> Figures:
    """Files are read and parsed in a thread, piece by piece, as the gateway's tails are, while the loop feeds the
    worker.
    """
    figures = {}
    for name, path in texts.items():
        figures[f"{name}_lines_per_s"] = await read(feed, path, name)
        figures[f"{name}_line_bytes"] = path.stat().st_size / COUNTS[name]
    if feed.shed():
        raise CannotRun(f"{feed.shed()} events were shed")
    figures["lines_per_s"] = min(figures[f"{name}_lines_per_s"] for name in texts)
    return figures


async def memory(feed: Feed, minutes: float) -> Figures:
    """The worker's memory at the end of each minute; the first one is its warm-up."""
    traffic, held = Traffic(3, ROWS), []
    for _ in range(max(2, round(minutes))):
        await _pour(feed, traffic, 60.0)
        held.append(feed.memory())
        print(f"minute {len(held)}: {held[-1]:.0f} MB", file=sys.stderr)
    return {"memory_first_mb": held[0], "memory_last_mb": held[-1], "memory_most_mb": max(held)}


async def _round(folder: Path, models: Path, parts: list[str], texts: Texts) -> Figures:
    figures: Figures = {}
    for name in parts:
        if name not in ("columns", "latency", "lines"):
            continue
        async with feeding(folder, models) as feed:
            if name == "columns":
                figures |= await columns(feed, LENGTH)
            elif name == "latency":
                figures |= await latency(feed, LENGTH)
            else:
                figures |= await lines(feed, texts)
    return figures | (await peers.measure(models) if "peers" in parts else {})


async def _measure(parts: list[str], rounds: int, minutes: float) -> tuple[Figures, Figures]:
    with TemporaryDirectory(prefix="events-") as name:
        folder = Path(name)
        put_defaults(folder / "models")
        texts = write_texts(folder) if "lines" in parts else {}
        each = []
        for number in range(1, rounds + 1):
            each.append(await _round(folder, folder / "models", parts, texts))
            print(f"round {number}: " + ", ".join(f"{k} {v:,.1f}" for k, v in each[-1].items()), file=sys.stderr)
        figures = {key: statistics.median(one[key] for one in each) for key in each[0]}
        ratios = peers.ratios(each)
        if "memory" in parts:
            async with feeding(folder, folder / "models") as feed:
                figures |= await memory(feed, minutes)
    return figures, ratios


def main(arguments: list[str]) -> int:
    """Run it; 1 where a part is missing."""
    options = argparse.ArgumentParser(prog="bench events", description=__doc__)
    options.add_argument("--json", action="store_true")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--minutes", type=float, default=10.0, help="of the memory part")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = options.parse_args(arguments)
    try:
        figures, ratios = uvloop.run(_measure(given.parts, given.rounds, given.minutes))
    except CannotRun as error:
        print(f"events: {error}", file=sys.stderr)
        return 1
    result = Result(
        name="events",
        figures={key: round(value, 3) for key, value in figures.items()},
        ratios={key: round(value, 2) for key, value in ratios.items()},
        peer=peers.NAMES,
        rounds=given.rounds,
        machine=facts() | peers.versions(),
        settings=_settings(),
    )
    print(line(result) if given.json else table(result))
    return 0


def _settings() -> dict[str, str]:
    return {
        "traffic": f"{SUBJECTS} subjects; 48 % requests, 44 % flows, 5 % DNS, alerts, reports, 1 % attacks",
        "stretch": f"{ROWS} events over all sources, or those of {EVERY} s at {RATE} a second",
        "scores": "each subject that a batch touched, once",
    }
