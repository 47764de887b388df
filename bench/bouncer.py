"""A block in the kernel's set by Debian's unmodified firewall bouncer: behind our long poll, and behind stock CrowdSec.

The clock (CLOCK_MONOTONIC) starts just before the order is written, and stops when the kernel says over netlink that it
has committed the element. Ours is `portcullis up` whole, its order is guarded and durable on the way. Stock CrowdSec is
Debian's 1.4.6, its bouncer once as delivered (a poll each 10 s), and once with a poll each 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import uvloop

from bench.bouncers.kernel import Kernel, watched
from bench.bouncers.sides import Side, ours, stock
from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from bench.system import open_folder
from deploy.demo import sandbox

ROUNDS = 5
ORDERS = 40  # of each side in a round
PATIENCE = 30.0  # seconds after which a decision is lost
FAST = "100ms"
_SEED = 8


@dataclass
class Lane:
    """A side, with what was measured of it."""

    name: str
    side: Side
    pause: float  # seconds between two orders, on average
    taken: list[list[float]] = field(default_factory=list)  # by rounds, milliseconds
    acknowledged: list[float] = field(default_factory=list)  # milliseconds, from the order to its answer
    after: list[float] = field(default_factory=list)  # milliseconds, from that to the kernel
    lost: int = 0


def main(arguments: Sequence[str]) -> int:
    """`python -m bench bouncer [--json] [--rounds N] [--orders N]`."""
    parser = argparse.ArgumentParser(prog="python -m bench bouncer", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--orders", type=int, default=ORDERS, help="of each side in a round")
    options = parser.parse_args(arguments)
    try:
        sandbox.enter()
        result = uvloop.run(measure(options.rounds, options.orders))
    except (CannotRun, sandbox.NoSandbox) as error:
        print(f"bouncer: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


async def measure(rounds: int, orders: int) -> Result:
    """Start everything and measure. Raises CannotRun."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_folder("bouncer"))
        kernel = stack.enter_context(watched())
        for name in ("slow", "fast"):
            (folder / name).mkdir()
        lanes = [
            Lane("ours", await stack.enter_async_context(ours(folder)), 0.2),
            Lane("stock", await stack.enter_async_context(stock(folder / "slow", "10s", "slow")), 0.5),
            Lane("stock_fast", await stack.enter_async_context(stock(folder / "fast", FAST, "fast")), 0.2),
        ]
        addresses = (f"198.18.{number >> 8}.{number & 255}" for number in range(1, 1 << 16))
        drawn = random.Random(_SEED)
        for lane in lanes:
            await _one_round(lane, kernel, addresses, 3, drawn)
            lane.taken, lane.acknowledged, lane.after = [], [], []  # what is first is thrown away
        for number in range(rounds):
            for lane in lanes if number % 2 else lanes[::-1]:
                await _one_round(lane, kernel, addresses, orders, drawn)
                _say(f"round {number + 1}, {lane.name}: {statistics.median(lane.taken[-1]):.2f} ms")
        return _result(lanes, orders)


async def _one_round(lane: Lane, kernel: Kernel, addresses: Iterator[str], orders: int, drawn: random.Random) -> None:
    starts, answers = dict[str, int](), dict[str, int]()
    for _ in range(orders):
        await asyncio.sleep(drawn.uniform(0, 2 * lane.pause))  # at any moment between two polls
        address = next(addresses)
        starts[address] = time.monotonic_ns()
        await lane.side.order(address)
        answers[address] = time.monotonic_ns()
    missing = await kernel.has(set(starts), PATIENCE)
    lane.lost += len(missing)
    came = {each: moment for each, moment in kernel.came.items() if each in starts}
    lane.taken.append([(moment - starts[each]) / 1e6 for each, moment in came.items()])
    lane.acknowledged += [(answers[each] - start) / 1e6 for each, start in starts.items()]
    lane.after += [(moment - answers[each]) / 1e6 for each, moment in came.items()]
    if missing and lane.name == "ours":
        raise CannotRun(f"{len(missing)} blocks never came into the kernel's set")


def _result(lanes: Sequence[Lane], orders: int) -> Result:
    figures, medians = dict[str, float](), dict[str, list[float]]()
    for lane in lanes:
        every = sorted(value for taken in lane.taken for value in taken)
        figures |= _shares(lane.name, every) | _shares(f"{lane.name}_after_acknowledged", sorted(lane.after))
        figures |= {f"{lane.name}_max_ms": every[-1], f"{lane.name}_lost": lane.lost}
        figures[f"{lane.name}_acknowledged_p50_ms"] = statistics.median(lane.acknowledged)
        medians[lane.name] = [statistics.median(taken) for taken in lane.taken]
    ratios = {
        f"{name}_p50": statistics.median(map(_quotient, medians[name], medians["ours"]))
        for name in ("stock", "stock_fast")
    }
    return Result(
        name="bouncer",
        figures={name: round(value, 3) for name, value in figures.items()},
        ratios={name: round(value, 1) for name, value in ratios.items()},
        peer=f"stock CrowdSec 1.4.6 and the same bouncer, which polls each 10 s as delivered, or each {FAST} (fast)",
        rounds=len(lanes[0].taken),
        machine=facts(),
        settings={
            "orders": f"{orders} of each side in a round, at random moments",
            "ours": "POST /v1/blocks on the admin socket of `portcullis up`; update_frequency 5ms",
            "stock": "POST /v1/alerts, as cscli decisions add, without its start",
            "kernel": "netlink, NFNLGRP_NFTABLES",
        },
    )


def _shares(name: str, ranked: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p{share}_ms": ranked[min(len(ranked) - 1, len(ranked) * share // 100)] for share in (50, 95)}


def _quotient(one: float, other: float) -> float:
    return one / other


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr)
