"""The whole loop: from the first request for a foreign account to the last line's receipt, split by stage.

Twenty rounds of step 4 of the demo's story, each with a fresh agent at a fresh address, on the demo's own world. A
stage's figure is its time since the first request for a foreign account: *seen* is the first event that counted for
the verdict, *judged* the verdict, *received* its arrival at the gateway. There is no peer in this run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.machine import facts
from bench.result import Result, line, table
from deploy.demo import sandbox
from deploy.demo.admin import until
from deploy.demo.attack import Stopped, Traffic, blocks_enforced, enumerate_accounts, send
from deploy.demo.cast import CAROLS, FOREIGN, INVOICE_BOT, LEDGER_BOT
from deploy.demo.children import ChildDied
from deploy.demo.claims import Untrue
from deploy.demo.world import World, drive

ROUNDS = 20
PAUSE_SECONDS = 0.5  # between rounds: the honest agent alone
BLOCKS_PER_MINUTE = 1000  # the guard's limit is not what is measured here
STAGES = ("seen", "judged", "received", "guarded", "durable")


def main(arguments: list[str]) -> int:
    """Run it; 0, or 1 if a round was not stopped or a part does not start."""
    options = argparse.ArgumentParser(prog="bench loop", description=__doc__)
    options.add_argument("--json", action="store_true")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = options.parse_args(arguments)
    try:
        missing = _enter()
        result = asyncio.run(drive(lambda world: _measure(world, chosen.rounds), missing, _say, BLOCKS_PER_MINUTE))
    except (Untrue, ChildDied, TimeoutError, OSError) as error:
        _say(f"loop: {error}")
        return 1
    print(line(result) if chosen.json else table(result))
    return 0


def _enter() -> str:
    try:
        sandbox.enter()
    except sandbox.NoSandbox as error:
        return str(error)
    return ""


async def _measure(world: World, rounds: int) -> Result:
    honest, ending = Traffic(), asyncio.Event()
    batch = await world.agent(LEDGER_BOT, "agents")
    measured: list[dict[str, float]] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(send(batch, CAROLS, ending, honest, seed=2))
        try:
            for number in range(rounds):
                measured.append(await _round(world, number))
                _say(f"round {number + 1}: {measured[-1]['attack_to_block']:.0f} ms")
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            ending.set()
    refused = sum(answer.status != 200 for answer in honest.answers)
    return Result(
        name="loop",
        figures=_figures(measured) | {"honest_requests": len(honest.answers), "honest_refused": refused},
        ratios={},
        peer="none",
        rounds=rounds,
        machine=facts(),
        settings={"lines": " ".join(world.lines), "unavailable": "; ".join(world.unavailable) or "none"},
    )


async def _round(world: World, number: int) -> dict[str, float]:
    """Stages of one attack in milliseconds since its first request. Raises Untrue if it is not stopped."""
    name, address = f"{INVOICE_BOT}-{number}", _address(world, number)
    bot = await world.agent(name, "attacker", address)
    own = await bot.get("/accounts/1001")
    if own.status != 200:
        raise Untrue(f"{name} reads its own person's account before: 200, not {own}")
    attack = await enumerate_accounts(bot, FOREIGN, seed=number)
    targets = (name, address) if world.network.isolated else (name,)
    stopped = await blocks_enforced(world.admin, targets, world.lines, 5)
    await bot.close()
    verdict = await until(f"the verdict on {name}", lambda: _verdict(world, stopped), 3)
    times = _times(stopped, verdict) | {"attack_to_block": stopped.last_receipt}
    return {stage: (moment - attack.first) * 1000 for stage, moment in times.items()}


def _address(world: World, number: int) -> str:
    attacker = world.network.hosts["attacker"]
    address = f"{attacker.address.rpartition('.')[0]}.{10 + number % 240}"
    attacker.add_address(address)
    return address


async def _verdict(world: World, stopped: Stopped) -> dict[str, Any] | None:
    causes = {story["block"]["cause"]["verdict"] for story in stopped.stories}
    mine = [verdict for verdict in await world.admin.verdicts() if verdict["id"] in causes]
    return min(mine, key=lambda verdict: float(verdict["received"]), default=None)


def _times(stopped: Stopped, verdict: dict[str, Any]) -> dict[str, float]:
    """Unix seconds of each stage: the last of the attack's blocks where there are several."""
    told = {"seen": verdict["since"], "judged": verdict["time"], "received": verdict["received"]}
    for stage in ("guarded", "durable"):
        ends = [story["block"]["created"] + story["stages"].get(stage, 0.0) for story in stopped.stories]
        told[stage] = max(ends)
    return told | {f"line_{name}": line["time"] for name, line in stopped.lines.items()}


def _figures(measured: Sequence[dict[str, float]]) -> dict[str, float]:
    figures = {}
    for stage in ("attack_to_block", *STAGES, *(name for name in measured[0] if name.startswith("line_"))):
        values = [each[stage] for each in measured]
        figures[f"{stage}_p50_ms"] = round(statistics.median(values), 2)
        figures[f"{stage}_p99_ms"] = round(_percentile(values, 0.99), 2)
    return figures


def _percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; of 20 values the 99th percentile is the highest."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
