"""Inline throughput: ours with every request judged and with decisions cached at the edge, against the same Envoy with
nothing asked, and against Envoy with OPA's Envoy plugin on the same policy.

All have one Envoy worker, the same nginx behind them and 32 requests under way. They take turns; a ratio is taken
within each round, and the median over rounds is the result. CPU time for each request is less noisy than throughput.
Then each is asked at half of what it carries itself, in turn with plain Envoy at the same rate, and a request's wait
counts from when it was due.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from bench.edges.agreement import must_agree
from bench.edges.closed_loop import UNDER_WAY, Load, saturate
from bench.edges.figures import PLAIN, Found, Waits, figures, ratios
from bench.edges.open_loop import Latency, at_rate
from bench.edges.plugin import FORM, OTHER_FORMS, Program, program
from bench.edges.side import Side
from bench.edges.site import CACHE_SECONDS, Site, site
from bench.edges.variant import ACCOUNT, ALICE, BALANCE, VARIANTS, Variant
from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from bench.system import open_folder

HALF_SECONDS = 2  # of one side of a round at half load
_Turn = TypeVar("_Turn", Load, Latency)


def main(arguments: Sequence[str]) -> int:
    """`python -m bench inline [--json] [--rounds N] [--seconds S] [--variant NAME]`."""
    parser = argparse.ArgumentParser(prog="python -m bench inline", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after the warm-up")
    parser.add_argument("--seconds", type=int, default=3, help="length of one side of a round")
    parser.add_argument("--variant", choices=[one.name for one in VARIANTS], help="this one alone")
    options = parser.parse_args(arguments)
    variants = [one for one in VARIANTS if options.variant in (None, one.name)]
    try:
        result = asyncio.run(measure(options.rounds, options.seconds, variants))
    except CannotRun as error:
        print(f"inline: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


async def measure(rounds: int, seconds: int, variants: Sequence[Variant]) -> Result:
    """Start all sides, without TLS and with it, and let them take turns in each variant. Raises CannotRun."""
    answering, found = await asyncio.to_thread(program), list[Found]()
    with open_folder("inline") as above:
        for tls in sorted({variant.tls for variant in variants}):
            folder, these = _made(above, tls), [variant for variant in variants if variant.tls == tls]
            forms = [FORM, *(OTHER_FORMS if any(_is_main(variant) for variant in these) else ())]
            async with site(folder, tls, answering, forms) as running:
                found += [await _measured(running, variant, rounds, seconds, folder) for variant in these]
    return _result(found, answering, rounds, seconds)


def _made(above: Path, tls: bool) -> Path:
    folder = above / ("tls" if tls else "clear")
    folder.mkdir(mode=0o755)
    return folder


async def _measured(running: Site, variant: Variant, rounds: int, seconds: int, folder: Path) -> Found:
    """One variant: the same answers, then throughput, then waits at half of a side's own throughput."""
    await must_agree(running, variant)
    main_sides = {name: side for name, side in running.sides.items() if name in {PLAIN, *CACHE_SECONDS, FORM.name}}
    sides = running.sides if _is_main(variant) else main_sides

    async def full(side: Side) -> Load:
        load = await saturate(side, variant, running.token, seconds, folder)
        _say(f"{variant.name} {side.name}: {load.rate:,.0f}/s")
        return load

    async def half(rate: float, side: Side) -> Latency:
        wait = await at_rate(side, variant, running.token, rate, HALF_SECONDS)
        _say(f"{variant.name} {side.name}: p50 {wait.p50_us:,.0f} us, p99 {wait.p99_us:,.0f} us at {rate:,.0f}/s")
        return wait

    loads, waits = await _turns(sides, rounds, full), dict[str, Waits]()
    for name in [name for name in main_sides if name != PLAIN]:
        rate = median(load.rate for load in loads[name]) / 2
        taken = await _turns({one: main_sides[one] for one in (PLAIN, name)}, rounds, partial(half, rate))
        waits[name] = Waits(rate, taken[name], taken[PLAIN])
    return Found(variant, loads, waits)


async def _turns(
    sides: dict[str, Side], rounds: int, turn: Callable[[Side], Awaitable[_Turn]]
) -> dict[str, list[_Turn]]:
    """Each side once in a round, and one round before that does not count."""
    taken: dict[str, list[_Turn]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in list(sides) if number % 2 else list(reversed(sides)):  # who goes first has no advantage
            one = await turn(sides[name])
            if number:
                taken[name].append(one)
    return taken


def _is_main(variant: Variant) -> bool:
    return not variant.suffix


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _result(found: Sequence[Found], answering: Program, rounds: int, seconds: int) -> Result:
    return Result(
        name="inline",
        figures={name: value for one in found for name, value in figures(one).items()},
        ratios={name: value for one in found for name, value in ratios(one).items()},
        peer="plain: the same Envoy without authorization and access logs; plugin: that, with OPA over ext_authz gRPC",
        rounds=rounds,
        machine=facts(),
        settings={
            "under_way": str(UNDER_WAY),
            "envoy_workers": "1",
            "seconds": f"{seconds}, at half load {HALF_SECONDS}",
            "upstream": "nginx, 1 worker",
            "load": "wrk or h2load, 1 thread; at half load bench/edges/open_loop, requests due at fixed moments",
            "every request": f"GET {ACCOUNT} or {BALANCE}, ES256 token of {ALICE}, starter policy",
            "ours": "identity, transaction tokens, detectors, access log, each decision on record",
            "cached": f"edge.cache_seconds {CACHE_SECONDS['cached']}",
            "plugin": f"{answering.told()}; signature verified, nothing logged",
            "plugin_logged": "the same, decisions to the console",
            "plugin_decoded": "the same, signature not verified",
        },
    )
