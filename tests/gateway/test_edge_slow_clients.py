"""Slow clients and floods at the real edge: cut off in their time, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.identities.callers import HOST
from tests.gateway.edge_rig import until
from tests.gateway.front import SERVER
from tests.gateway.hostile_front import Hostile, hostile_front

PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
SLOW = ("handshake", "headers", "body", "reading", "window")
FLOODS = ("resets", "pings", "settings", "empty", "continuation")
HEADERS = 10.0  # seconds that a caller has for a request's head
LATE = 5.0  # seconds more, on a busy machine
CONNECTIONS, REQUESTS, ROUNDS = 4, 750, 5
PAUSE = 0.004  # seconds before each request: a load that leaves the machine room
PATH = "/nginx/public/file"


@dataclass
class Crowd:
    """Slow clients in a process of their own."""

    cut: list[tuple[str, float]] = field(default_factory=list)  # kind and seconds
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, kind: str) -> list[float]:
        """How long each of a kind was borne."""
        return [seconds for name, seconds in self.cut if name == kind]

    async def read(self, lines: asyncio.StreamReader) -> None:
        """What they tell."""
        async for line in lines:
            told = json.loads(line)
            if told == "ready":
                self.ready.set()
            else:
                self.cut.append((told[0], told[1]))


@asynccontextmanager
async def crowd(hostile: Hostile, kinds: Mapping[str, int]) -> AsyncIterator[Crowd]:
    """So many of each kind, all connected."""
    asked = {"port": hostile.edge.port, "authority": SERVER.pem.decode(), "host": HOST, "path": PATH}
    asked |= {"bearer": hostile.bearer("alice"), "echo": "/go/echo/slow", "large": "/nginx/large", "kinds": kinds}
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.gateway.slow_clients")
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin
    assert process.stdout
    found = Crowd()
    reading = asyncio.create_task(found.read(process.stdout))
    try:
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        await asyncio.wait_for(found.ready.wait(), 60)
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def load(hostile: Hostile, each: int) -> list[float]:
    """Seconds of so many requests on each of a few connections, one after another; all are answered."""
    trust = ssl.create_default_context(cadata=SERVER.pem.decode())
    raw = f"GET {PATH} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: {hostile.bearer('bob')}\r\n\r\n".encode()

    async def one() -> list[float]:
        reader, writer = await asyncio.open_connection("localhost", hostile.edge.port, ssl=trust)
        try:
            return [await _timed(reader, writer, raw) for _ in range(each)]
        finally:
            writer.close()

    return [seconds for some in await asyncio.gather(*(one() for _ in range(CONNECTIONS))) for seconds in some]


async def _timed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes) -> float:
    await asyncio.sleep(PAUSE)
    start = time.perf_counter()
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    await reader.readexactly(len("public"))
    return time.perf_counter() - start


async def test_the_slow_are_cut_off_and_all_others_are_answered(tmp_path: Path) -> None:
    kinds = dict.fromkeys((*SLOW, *FLOODS), 6)
    async with hostile_front(tmp_path, tls=True) as hostile, crowd(hostile, kinds) as slow:
        assert len(await load(hostile, 250)) == 4 * 250
        cut = Counter({"headers": 6, **dict.fromkeys(FLOODS, 6)})
        await until(lambda: Counter(name for name, _ in slow.cut) >= cut, "all of these are cut off", 60)
        assert all(HEADERS - 1 < seconds < HEADERS + LATE for seconds in slow.of("headers"))
        assert len(await load(hostile, 50)) == 4 * 50


@pytest.mark.prove
@pytest.mark.skipif(not PROVE, reason="measures: PORTCULLIS_PROVE=1")
async def test_a_thousand_slow_clients_less_than_double_the_normal_p99(tmp_path: Path) -> None:
    kinds = dict.fromkeys(SLOW, 160) | dict.fromkeys(FLOODS, 40)
    async with hostile_front(tmp_path, tls=True) as hostile:
        await load(hostile, 200)
        before, beside = list[float](), list[float]()
        for _ in range(ROUNDS):
            before.append(p99(await load(hostile, REQUESTS)))
            async with crowd(hostile, kinds) as slow:
                beside.append(p99(await load(hostile, REQUESTS)))
                assert sum(name in SLOW for name, _ in slow.cut) < 400  # the others were there all the time
        logging.getLogger(__name__).info("p99 in ms: %s, and beside 1,000 slow clients %s", before, beside)
        assert statistics.median(beside) < 2 * statistics.median(before), (before, beside)


def p99(seconds: list[float]) -> float:
    """In milliseconds."""
    return round(statistics.quantiles(seconds, n=100)[98] * 1000, 2)
