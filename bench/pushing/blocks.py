"""Blocks that are ordered one after another, and what their stories say."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from bench.pushing.admin import Admin
from bench.result import CannotRun

LIFE = 3600.0  # seconds
KERNEL = "nftables"  # the line of this host
_ANSWERED = 30.0  # seconds in which all have answered
_FIRST = int(IPv4Address("100.64.0.0"))


def addresses() -> Iterator[str]:
    """One after another, of nobody (RFC 6598)."""
    return (str(IPv4Address(_FIRST + number)) for number in itertools.count(1))


@dataclass(frozen=True)
class Told:
    """One block, by the gateway's clock: milliseconds since it was accepted."""

    accepted: float  # Unix seconds
    acknowledged: float  # milliseconds from the order's writing to its answer, by who ordered it
    durable: float
    first: float  # answer
    last: float  # answer: all have enforced it
    middle: float  # answer: half of them have
    kernel: float | None  # answer of the line that drives this host's nftables; None without one


async def order(admin: Admin, address: str) -> tuple[str, float]:
    """The block's id, and milliseconds until it was acknowledged."""
    start = time.perf_counter()
    block = await admin.block(address, LIFE)
    return block, 1000 * (time.perf_counter() - start)


async def read(admin: Admin, block: str, acknowledged: float, lines: Set[str]) -> Told:
    """What came of a block, once all these lines enforce it. Raises CannotRun."""
    end = time.monotonic() + _ANSWERED
    while time.monotonic() < end:
        story = await admin.ask(f"/v1/blocks/{block}")
        after = _enforced(story, lines)
        if len(after) == len(lines):
            created = float(story["block"]["created"])
            durable = 1000 * float(story["stages"]["durable"])
            kernel = next(iter(_enforced(story, {KERNEL})), None)
            return Told(created, acknowledged, durable, after[0], after[-1], after[len(after) // 2], kernel)
        await asyncio.sleep(0.5)
    raise CannotRun(f"{len(lines) - len(after)} of {len(lines)} lines do not say that they enforce {block}")


def _enforced(story: dict[str, Any], lines: Set[str]) -> list[float]:
    parts = story["lines"]
    return sorted(1000 * part["enforced"] for name in lines if (part := parts.get(name)) and part["enforced"])
