"""Decisions: the compiled policy in this process, against OPA's engine in Go, regorus, and OPA over REST.

The starter policy at a bank with 10,000 principals and 200 roles, a thousand requests drawn from a seed. All engines
must say the same of every request before anything is timed. A ratio is how many times longer the peer takes, taken
within each round, the median over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import structlog
import uvloop

from bench.decisions import hard, opa, own, rust
from bench.decisions.bank import JOBS
from bench.decisions.growth import growth, patches
from bench.decisions.requests import REQUESTS, SEED
from bench.decisions.rounds import SERVED, SHOWN, Figures, Sides, prepare, rounds
from bench.decisions.single import single
from bench.decisions.starter import starter
from bench.decisions.swap import RATE, SWAPS, stalls
from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from policy.rego.values import EvaluationError

PRINCIPALS = 10_000
SIZES = (100, PRINCIPALS, 1_000_000)  # of the growth
QUICK_SIZES = (100, PRINCIPALS)


def main(arguments: Sequence[str]) -> int:
    """`python -m bench decision [--json] [--rounds N] [--quick]`."""
    parser = argparse.ArgumentParser(prog="python -m bench decision", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after the warm-up")
    parser.add_argument("--quick", action="store_true", help="one round, OPA's own policies and the million left out")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # errors alone
    try:
        result = uvloop.run(measure(1 if options.quick else options.rounds, options.quick))
    except (CannotRun, EvaluationError) as error:
        print(f"decision: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


async def measure(count: int, quick: bool) -> Result:
    """All parts, one after the other. Raises CannotRun."""
    with tempfile.TemporaryDirectory(prefix="decision-") as name:
        folder, case = Path(name), starter(PRINCIPALS)
        _say("preparing, and comparing the answers of all engines")
        sides = prepare(case, opa.Opa(case, folder / "starter"))
        figures, ratios = _medians(await rounds(sides, count, _say))
        _say("swapping revisions under load")
        calm, busy = await stalls(case, folder / "swap")
        figures |= {"swap_stall_ms": busy, "swap_calm_ms": calm}
        for one in [hard.hard()] if quick else [hard.hard(), *own.cases()]:
            _say(one.name)
            more = single(one, folder / one.name)
            figures |= more[0]
            ratios |= more[1]
    grown = _growth(QUICK_SIZES if quick else SIZES, count)
    return _result(sides, figures | grown[0], ratios | grown[1], count)


def _medians(found: Sequence[tuple[Figures, Figures]]) -> tuple[Figures, Figures]:
    """Over rounds, with the least and greatest of the ratios among the figures."""
    figures = {name: statistics.median(each[name] for each, _ in found) for name in found[0][0]}
    ratios = {name: [each[name] for _, each in found] for name in found[0][1]}
    for name, values in ratios.items():
        figures |= {f"{name}_min": min(values), f"{name}_max": max(values)}
    return figures, {name: statistics.median(values) for name, values in ratios.items()}


def _growth(sizes: Sequence[int], count: int) -> tuple[Figures, Figures]:
    _say(f"growth up to {sizes[-1]:,} principals")
    figures, largest = growth(sizes, count)
    grown = [figures[f"growth_{size}_us"] for size in sizes]
    _say(f"patches among {sizes[-1]:,} principals")
    taken = sorted(patches(largest))
    figures |= {"patch_ms": statistics.median(taken), "patch_p99_ms": taken[int(0.99 * len(taken))]}
    return figures | {"patch_longest_ms": taken[-1]}, {"growth": max(grown) / min(grown)}


def _result(sides: Sides, figures: Figures, ratios: Figures, count: int) -> Result:
    left_out = "; ".join(f"{name}: {why}" for name, why in sides.wrong.items())
    return Result(
        name="decision",
        figures={name: round(value, 4) for name, value in figures.items()},
        ratios={name: round(value, 3) for name, value in ratios.items()},
        peer="OPA's engine by opa bench, regorus, OPA over REST",
        rounds=count,
        machine=facts(),
        settings={
            "opa": f"{opa.release()}, best as {sides.mode}, {' '.join(f'{k}={v}' for k, v in opa.GO.items())}",
            "opa_inputs": ", ".join(SHOWN),
            "opa_rest": f"{SERVED}; opa-python-client {version('opa-python-client')} on uvloop, one connection",
            "regorus": f"{rust.PACKAGE} {rust.release()}, best as {sides.regorus['regorus'].name}",
            "regorus_left_out": left_out or "nothing",
            "requests": f"{REQUESTS} of seed {SEED}",
            "data": f"{PRINCIPALS} principals, {len(JOBS)} jobs in 25 branches",
            "swap": f"{SWAPS} swaps, {RATE} decisions a second",
        },
    )


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr)
