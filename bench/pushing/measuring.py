"""The parts of `bench push`, one after another: each starts what it measures and ends it."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bench.bouncers.kernel import watched
from bench.bouncers.sides import stock
from bench.machine import cpu_seconds, facts
from bench.pushing.agents import agents
from bench.pushing.blocks import addresses
from bench.pushing.consumers import consumers
from bench.pushing.fanout import Fanout, fanout, mosquitto
from bench.pushing.flood import flood
from bench.pushing.rounds import Round, beside_a_round, figures, one_round, shares, warm
from bench.pushing.sizes import sizes
from bench.result import CannotRun, Result
from bench.system import open_folder

LINES, MANY, FEW = 1_000, 10_000, 100
PROCESSES = 2  # that lines run in, a thousand or fewer
MANY_PROCESSES = 8
RATE, SECONDS = 1_000, 60  # blocks a second, and for how long
STOCK_ORDERS = 10
_SHM = Path("/dev/shm")  # in memory: a thousand lines' journals would share the ledger's one disk
Figures = dict[str, float]


async def measure(rounds: int, blocks: int, parts: Sequence[str]) -> Result:
    """Everything, one part after another. Raises CannotRun."""
    figures, ratios = Figures(), Figures()
    with open_folder("push") as folder, tempfile.TemporaryDirectory(dir=_SHM) as journals:
        for part in parts:
            own = folder / part
            own.mkdir(mode=0o755)
            place = Place(own, Path(journals) / part)
            found, compared = await place.measure(part, rounds, blocks)
            figures |= found
            ratios |= compared
    return _result(figures, ratios, rounds, blocks)


class Place:
    """Where a part runs."""

    def __init__(self, folder: Path, journals: Path) -> None:
        self._folder, self._journals = folder, journals

    async def measure(self, part: str, rounds: int, blocks: int) -> tuple[Figures, Figures]:
        """Figures and ratios of one part."""
        if part == "agents":
            return await self._agents(f"agents_{LINES}", LINES, PROCESSES, rounds, blocks), {}
        if part == "many":
            return await self._agents(f"agents_{MANY}", MANY, MANY_PROCESSES, 1, blocks), {}
        if part == "openc2":
            return await self._openc2(rounds, blocks)
        return (await self._flood() if part == "flood" else await self._crowdsec()), {}

    async def _agents(self, name: str, count: int, processes: int, rounds: int, blocks: int) -> Figures:
        async with agents(self._folder, self._journals, count, processes) as (site, crowd):
            each, made = addresses(), list[Round]()
            idle = await warm(site, crowd, each)
            for number in range(rounds):
                made.append(await one_round(site, crowd, each, blocks, idle))
                _say(name, number, made[-1])
            found = figures(name, made)
            found |= shares(f"{name}_bystander", await beside_a_round(site, crowd, each, blocks))
            found |= shares(f"{name}_kernel", [told.kernel or 0.0 for one in made for told in one.told])
            found[f"{name}_idle_gateway_cpu_percent"] = 100 * idle.gateway
            return found | {f"{name}_connected_seconds": crowd.connected_seconds}

    async def _openc2(self, rounds: int, blocks: int) -> tuple[Figures, Figures]:
        name = f"openc2_{LINES}"
        async with AsyncExitStack() as stack:
            port, broker = await stack.enter_async_context(mosquitto(self._folder))
            site, crowd = await stack.enter_async_context(consumers(self._folder, port, LINES, PROCESSES))
            each, made, alone = addresses(), list[Round](), list[list[float]]()
            travels, idle = await sizes(port, lambda: warm(site, crowd, each))
            plain = await stack.enter_async_context(fanout(port, LINES, PROCESSES, travels))
            await _published(plain, 3)
            spent = 0.0
            for number in range(rounds):
                before = cpu_seconds(broker)
                made.append(await one_round(site, crowd, each, blocks, idle))
                spent += cpu_seconds(broker) - before
                alone.append(await _published(plain, blocks))
                _say(name, number, made[-1])
        found = figures(name, made) | shares(f"mosquitto_{LINES}", [ms for one in alone for ms in one])
        found |= {f"{name}_broker_cpu_ms": 1000 * spent / (rounds * blocks)}
        found |= {f"{name}_command_bytes": travels.told, f"{name}_answer_bytes": travels.answered}
        return found, {"openc2_vs_mosquitto": _ratio(made, alone)}

    async def _flood(self) -> Figures:
        async with agents(self._folder, self._journals, FEW, PROCESSES) as (site, _):
            came = await flood(site, addresses(), RATE, SECONDS)
        found = shares("flood_durable", came.late_ms)
        return found | {
            "flood_blocks": came.ordered,
            "flood_blocks_per_second": came.ordered / came.seconds,
            "flood_pending_most": max(came.pending),
            "flood_gone_seconds": came.gone_seconds,
            "flood_story_ms": came.story_ms,
            "flood_gateway_cpu_us": 1e6 * came.gateway_cpu_seconds / came.ordered,
        }

    async def _crowdsec(self) -> Figures:
        with watched() as kernel:
            async with stock(self._folder, "10s", "stock") as side:
                taken = []
                for address, _ in zip(addresses(), range(STOCK_ORDERS), strict=False):
                    start = time.monotonic_ns()
                    await side.order(address)
                    if await kernel.has({address}, 30.0):
                        raise CannotRun(f"CrowdSec's bouncer does not block {address}")
                    taken.append((kernel.came[address] - start) / 1e6)
        return shares("crowdsec_1", taken)


async def _published(plain: Fanout, messages: int) -> list[float]:
    taken = []
    for _ in range(messages):
        taken.append(await plain.publish())
        await asyncio.sleep(0.25)
    return taken


def _ratio(ours: Sequence[Round], alone: Sequence[Sequence[float]]) -> float:
    """Of the medians within a round, the median over rounds."""
    medians = [statistics.median(told.last for told in one.told) for one in ours]
    return statistics.median(one / statistics.median(other) for one, other in zip(medians, alone, strict=True))


def _result(figures: Figures, ratios: Figures, rounds: int, blocks: int) -> Result:
    return Result(
        name="push",
        figures={name: round(value, 3) for name, value in figures.items()},
        ratios={name: round(value, 3) for name, value in ratios.items()},
        peer="the same fan-out by Mosquitto alone, unsigned and not durable; stock CrowdSec and one bouncer, each 10 s",
        rounds=rounds,
        machine=facts(),
        settings={
            "blocks": f"{blocks} in a round, by POST /v1/blocks, one after another",
            "lines": f"{LINES} in {PROCESSES} processes, {MANY} in {MANY_PROCESSES}, on the gateway's own machine",
            "agents": "WebSocket over TLS 1.3, both sides proved; journals on a file system in memory",
            "flood": f"{RATE} blocks a second for {SECONDS} s over {FEW} agents",
        },
    )


def _say(name: str, number: int, found: Round) -> None:
    middle = statistics.median(told.last for told in found.told)
    cpu = f"gateway {found.gateway_ms:.0f} ms, lines {found.lines_ms:.0f}"
    print(f"{time.strftime('%H:%M:%S')} {name}, round {number + 1}: {middle:.1f} ms, {cpu}", file=sys.stderr)
