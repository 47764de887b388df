"""Plays the nine steps against the running system, tells each as it happens, and sums up in one record."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from deploy.demo.children import ChildDied
from deploy.demo.claims import Untrue
from deploy.demo.sandbox import NoSandbox
from deploy.demo.steps import STEPS, Step
from deploy.demo.world import World, drive

Tell = Callable[[int, "StepResult"], None]
LINES = ("edge", "nftables", "openc2")


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: whether every claim held, how long it took, what was seen or what was not true."""

    name: str
    ok: bool
    ms: float
    detail: str


async def play(world: World, tell: Tell) -> dict[str, Any]:
    """Every step in order, the later ones too when one fails; the record that `--json` prints."""
    results = []
    for number, (name, step) in enumerate(STEPS, 1):
        result = await run(name, step, world)
        results.append(result)
        tell(number, result)
    world.failed = not all(result.ok for result in results)
    return record(results, world)


async def run(name: str, step: Step, world: World) -> StepResult:
    """One step; what is not true, or breaks, is its detail."""
    began = time.perf_counter()
    try:
        detail, ok = await step(world), True
    except Untrue as untrue:
        detail, ok = f"not true: {untrue}", False
    except Exception as error:
        detail, ok = f"{type(error).__name__}: {error}", False
    return StepResult(name, ok, round((time.perf_counter() - began) * 1000, 1), detail)


def record(results: list[StepResult], world: World) -> dict[str, Any]:
    """`{"ok", "steps", "attack_to_block_ms", "signal_to_cut_ms", "lines", "unavailable"}` and the restart's gap."""
    stopped = world.facts.get("lines", {})
    lines = [{"name": name, "ok": name in stopped, "ms": _figure(stopped.get(name, {}), "ms")} for name in LINES]
    return {
        "ok": all(result.ok for result in results),
        "steps": [asdict(result) for result in results],
        "attack_to_block_ms": _figure(world.facts, "attack_to_block_ms"),
        "signal_to_cut_ms": _figure(world.facts, "signal_to_cut_ms"),
        "restart_gap_ms": _figure(world.facts, "gap_ms"),
        "lines": lines,
        "unavailable": world.unavailable,
    }


def _figure(facts: dict[str, Any], name: str) -> float | None:
    return round(facts[name], 2) if name in facts else None


def failed(words: str, missing: str) -> dict[str, Any]:
    """The record of a story that could not begin."""
    nothing: dict[str, Any] = {"attack_to_block_ms": None, "signal_to_cut_ms": None, "restart_gap_ms": None}
    start = StepResult("start", False, 0.0, words)
    return {"ok": False, "steps": [asdict(start)], **nothing, "lines": [], "unavailable": [missing] if missing else []}


def main(as_json: bool, missing: str) -> int:
    """Play it all; 0 if every step held, 1 otherwise. With `as_json` the last line of output is the record."""
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)

    def tell(number: int, result: StepResult) -> None:
        mark = "[green]ok[/]" if result.ok else "[red]FAILED[/]"
        console.print(f"{number}. {result.name} {mark} [dim]{result.ms:.0f} ms[/]")
        console.print(f"   {result.detail}", markup=False)

    def say(words: str) -> None:
        console.print(f"[dim]{words}[/]")

    told = _played(tell, say, missing)
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        _sum_up(console, told)
    return 0 if told["ok"] else 1


def _played(tell: Tell, say: Callable[[str], None], missing: str) -> dict[str, Any]:
    async def all_steps(world: World) -> dict[str, Any]:
        return await play(world, tell)

    try:
        told: dict[str, Any] = asyncio.run(drive(all_steps, missing, say))
    except (ChildDied, TimeoutError, NoSandbox, OSError) as error:
        say(f"the demo could not run: {error}")
        return failed(str(error), missing)
    except asyncio.CancelledError:
        return failed("interrupted", missing)
    return told


def _sum_up(console: Console, told: dict[str, Any]) -> None:
    figures = ("attack_to_block_ms", "signal_to_cut_ms", "restart_gap_ms")
    console.print("   ".join(f"{name} {told[name]}" for name in figures))
    for line in told["lines"]:
        console.print(f"line {line['name']}: {'ok' if line['ok'] else 'not there'} ({line['ms']} ms)")
    for missing in told["unavailable"]:
        console.print(f"not available here: {missing}", markup=False)
    console.print("[green]The story holds.[/]" if told["ok"] else "[red]The story does not hold.[/]")
