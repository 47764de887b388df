"""A round of blocks at a site, one after another, and what it came to."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.pushing.blocks import Told, order, read
from bench.pushing.bystander import beside, bystander
from bench.pushing.crowd import Crowd
from bench.pushing.site import Site

_WARM = 10  # blocks before anything counts
_IDLE = 10.0  # seconds in which nothing is ordered
_APART = 0.3  # seconds from an order's answer until its story is asked for; or this many times what the last one took:
_TIMES = 2.0


@dataclass(frozen=True)
class Round:
    """What it came to."""

    told: Sequence[Told]
    gateway_ms: float  # CPU time for a block, beyond what it takes to be there
    lines_ms: float  # of all lines, likewise


@dataclass(frozen=True)
class Idle:
    """CPU time that it takes to be there, with all lines connected: of a second, a share."""

    gateway: float
    lines: float


async def warm(site: Site, crowd: Crowd, addresses: Iterator[str]) -> Idle:
    """What is first is thrown away."""
    await one_round(site, crowd, addresses, _WARM, Idle(0, 0))
    gateway, lines = site.cpu_seconds, crowd.cpu_seconds
    await asyncio.sleep(_IDLE)
    return Idle((site.cpu_seconds - gateway) / _IDLE, (crowd.cpu_seconds - lines) / _IDLE)


async def one_round(site: Site, crowd: Crowd, addresses: Iterator[str], blocks: int, idle: Idle) -> Round:
    """So many blocks, each ordered once nothing is left of the one before. Raises CannotRun."""
    told, gateway, lines = list[Told](), 0.0, 0.0
    for _ in range(blocks):
        before = (site.cpu_seconds, crowd.cpu_seconds, time.monotonic())
        ordered = await order(site.admin, next(addresses))
        await asyncio.sleep(max(_APART, _TIMES * told[-1].last / 1000 if told else 0.0))
        seconds = time.monotonic() - before[2]
        gateway += site.cpu_seconds - before[0] - seconds * idle.gateway
        lines += crowd.cpu_seconds - before[1] - seconds * idle.lines
        told.append(await read(site.admin, *ordered, crowd.names))  # which takes time of the gateway's, too
    return Round(told, 1000 * gateway / blocks, 1000 * lines / blocks)


async def beside_a_round(site: Site, crowd: Crowd, addresses: Iterator[str], blocks: int) -> list[float]:
    """Milliseconds that a bystander waited for the gateway while blocks were on their way. Raises CannotRun."""
    async with bystander(site.socket) as waits:
        told = (await one_round(site, crowd, addresses, blocks, Idle(0, 0))).told
    return beside(waits, told)


def figures(name: str, rounds: Sequence[Round]) -> dict[str, float]:
    """Over all rounds."""
    told = [each for one in rounds for each in one.told]
    found = shares(name, [each.last for each in told])
    for part in ("acknowledged", "durable", "first", "middle"):
        found[f"{name}_{part}_p50_ms"] = statistics.median(getattr(each, part) for each in told)
    found[f"{name}_gateway_cpu_ms"] = statistics.median(each.gateway_ms for each in rounds)
    found[f"{name}_lines_cpu_ms"] = statistics.median(each.lines_ms for each in rounds)
    return found


def shares(name: str, values: Sequence[float]) -> dict[str, float]:
    """The median, the 99th percentile and the most, in milliseconds."""
    ranked = sorted(values)
    found = {f"{name}_p{share}_ms": ranked[min(len(ranked) - 1, len(ranked) * share // 100)] for share in (50, 99)}
    return found | {f"{name}_max_ms": ranked[-1]}
