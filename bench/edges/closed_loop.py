"""As many requests as a side carries: wrk for HTTP/1.1, h2load for gRPC, 32 requests under way at any time."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from bench.edges.side import Side
from bench.edges.variant import ANSWER, ASKED, Variant
from bench.result import CannotRun
from bench.streams.frames import framed
from bench.system import tool

UNDER_WAY = 32
_CONNECTIONS = 4  # of gRPC, which share those requests
_WRK = re.compile(r"^\s+(\d+) requests in.*^Requests/sec:\s+([\d.]+)", re.MULTILINE | re.DOTALL)
_WRK_FAILED = re.compile(r"^\s*(Non-2xx or 3xx responses|Socket errors):.*", re.MULTILINE)
_H2LOAD = re.compile(
    r"^finished in \S+, ([\d.]+) req/s.*^requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout"
    r".*\((\d+)\) data$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Load:
    """What one run found."""

    rate: float  # requests a second
    cpu_us: dict[str, float]  # CPU time for each request, by process


async def saturate(side: Side, variant: Variant, token: str, seconds: int, folder: Path) -> Load:
    """Ask for so many seconds. Raises CannotRun unless every request was answered as it must be."""
    before = side.cpu_seconds()
    run = _h2load if variant.grpc else _wrk
    requests, rate = await run(variant.url(side.port), token, seconds, folder)
    return Load(rate, side.spent_us(before, requests))


async def _wrk(url: str, token: str, seconds: int, folder: Path) -> tuple[int, float]:
    settings = ("-t1", f"-c{UNDER_WAY}", f"-d{seconds}s", "-H", f"authorization: Bearer {token}")
    text = await _said(tool("wrk", "wrk"), *settings, url)
    if failed := _WRK_FAILED.search(text):
        raise CannotRun(f"not every request was answered with 200: {failed.group(0).strip()}")
    requests, rate = _found(_WRK, text)
    return int(requests), float(rate)


async def _h2load(url: str, token: str, seconds: int, folder: Path) -> tuple[int, float]:
    message = folder / "message"
    message.write_bytes(framed(ASKED))
    names = ("content-type: application/grpc", "te: trailers", f"authorization: Bearer {token}")
    headers = [word for name in names for word in ("-H", name)]
    many = (f"-D{seconds}", "-t1", f"-c{_CONNECTIONS}", f"-m{UNDER_WAY // _CONNECTIONS}")
    text = await _said(tool("h2load", "nghttp2-client"), *many, "-d", str(message), *headers, url)
    rate, done, *failures, received = _found(_H2LOAD, text)
    # A refused call is 200 too, in HTTP, but without a message.
    if any(map(int, failures)) or int(received) < int(done) * len(framed(ANSWER)):
        raise CannotRun(f"not every call was answered with a message: {text!r}")
    return int(done), float(rate)


async def _said(*command: str) -> str:
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    return (await child.communicate())[0].decode()


def _found(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.search(text)
    if match is None:
        raise CannotRun(f"the load's program said something else than expected: {text!r}")
    return match.groups()
