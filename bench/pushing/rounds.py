"""A round of blocks at a site, one after another, and what it came to."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.pushing.blocks import APART, Told, order, read
from bench.pushing.bystander import beside, bystander
from bench.pushing.crowd import Crowd
from bench.pushing.site import Site

_WARM = 10  # blocks before anything counts
_OVER = 1.0  # seconds after which nothing of a block is left to do, its receipts' record among that


@dataclass(frozen=True)
class Round:
    """What it came to."""

    told: Sequence[Told]
    gateway_ms: float  # CPU time for a block, all that the gateway did meanwhile
    lines_ms: float  # of all lines


async def warm(site: Site, crowd: Crowd, addresses: Iterator[str]) -> None:
    """What is first is thrown away."""
    await one_round(site, crowd, addresses, _WARM)


async def one_round(site: Site, crowd: Crowd, addresses: Iterator[str], blocks: int) -> Round:
    """So many blocks. Raises CannotRun."""
    gateway, lines = site.cpu_seconds, crowd.cpu_seconds
    made = []
    for _ in range(blocks):
        made.append(await order(site.admin, next(addresses)))
        await asyncio.sleep(APART)
    await asyncio.sleep(_OVER)
    gateway, lines = site.cpu_seconds - gateway, crowd.cpu_seconds - lines
    told = [await read(site.admin, *each, crowd.names) for each in made]
    return Round(told, 1000 * gateway / blocks, 1000 * lines / blocks)


async def beside_a_round(site: Site, crowd: Crowd, addresses: Iterator[str], blocks: int) -> list[float]:
    """Milliseconds that a bystander waited for the gateway while blocks were on their way. Raises CannotRun."""
    async with bystander(site.socket) as waits:
        told = (await one_round(site, crowd, addresses, blocks)).told
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
