"""From a signal to the first request that is judged anew, in every worker of Envoy, under load.

The clock (CLOCK_MONOTONIC, one for all processes) starts just before an order is written to the gateway's admin socket
and stops, for each worker, when the probe has read its first refusal. The probe asks the same all the time on
connections of both workers, which answer it from what they remember. `portcullis up` runs whole.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.edges.closed_loop import saturate
from bench.edges.side import Side
from bench.edges.variant import VARIANTS
from bench.invalidating.figures import figures
from bench.invalidating.load import load
from bench.invalidating.measuring import Asked, measuring
from bench.invalidating.signals import MAIN, OTHERS, ROLE, SCOPE, Signal
from bench.invalidating.site import ACCOUNT, CROWD, WORKERS, configuration
from bench.invalidating.window import Window
from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from bench.system import Issuer, portcullis, until_idle, upstream
from gateway.config import Config
from gateway.edge import ADMIN_SOCKET, EnvoyAdmin

SIGNALS = 1_000
OTHERS_SHARE = 0.2
LOAD_SHARE = 0.5  # of what the edge carries here
_SATURATED_SECONDS = 5
_SEED = 7


@dataclass(frozen=True)
class Found:
    """What all signals came to."""

    windows: dict[str, list[Window]]  # by kind
    asked: Asked
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """`python -m bench invalidate [--json] [--signals N]`."""
    parser = argparse.ArgumentParser(prog="python -m bench invalidate", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--signals", type=int, default=SIGNALS, help="of the main kind, and a fifth of each other")
    options = parser.parse_args(arguments)
    try:
        result = asyncio.run(measure(options.signals))
    except CannotRun as error:
        print(f"invalidate: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


async def measure(signals: int) -> Result:
    """Start everything and measure. Raises CannotRun."""
    async with AsyncExitStack() as stack:
        folder = _open_to_all(stack.enter_context(tempfile.TemporaryDirectory(prefix="invalidate-")))
        issuer = Issuer()
        url = await stack.enter_async_context(issuer.serve())
        behind = await stack.enter_async_context(upstream(folder, b""))
        config = configuration(folder, behind, url)
        ours = await stack.enter_async_context(portcullis(config, folder))
        await until_idle(ours)
        tokens = [issuer.token(name, scope=SCOPE, roles=[ROLE]) for name in CROWD]
        side = Side("ours", ours.port, {})
        carried = (await saturate(side, VARIANTS[0], tokens[0], _SATURATED_SECONDS, folder)).rate
        _say(f"carries {carried:,.0f} requests/s")
        async with load(f"http://127.0.0.1:{ours.port}{ACCOUNT}", tokens, carried * LOAD_SHARE):
            before = await _counted(config)
            found = await asyncio.to_thread(_signalled, config, issuer, signals)
            after = await _counted(config)
        counted = {name: after[name] - before[name] for name in after}
        return _result(found, counted, carried, config)


def _open_to_all(folder: str) -> Path:
    """Started as root, `portcullis up` runs its children as another user."""
    path = Path(folder)
    path.chmod(0o755)
    return path


def _signalled(config: Config, issuer: Issuer, signals: int) -> Found:
    drawn = random.Random(_SEED)
    kinds: list[Signal] = [MAIN] * signals + [
        kind for kind in OTHERS for _ in range(max(1, int(signals * OTHERS_SHARE)))
    ]
    drawn.shuffle(kinds)
    windows: dict[str, list[Window]] = {kind.name: [] for kind in (MAIN, *OTHERS)}
    with measuring(config, issuer, _SEED) as measured:
        start = time.monotonic()
        gc.disable()  # no pause of ours in what is measured
        try:
            for number, kind in enumerate(kinds):
                windows[kind.name].append(measured.measured(kind, f"probe-{number}"))
                if number % 100 == 99:
                    gc.collect()
                    _say(f"{number + 1} of {len(kinds)} signals")
        finally:
            gc.enable()
        return Found(windows, measured.asked, time.monotonic() - start)


async def _counted(config: Config) -> dict[str, int]:
    """Answers of the edge so far, by class of status."""
    prefix = "http.edge.downstream_rq_"
    stats = await EnvoyAdmin(config.state / "run" / ADMIN_SOCKET).stats(prefix)
    return {name: stats.get(f"{prefix}{name}", 0) for name in ("2xx", "4xx", "5xx")}


def _result(found: Found, counted: dict[str, int], carried: float, config: Config) -> Result:
    bound = 1000 * config.edge.cache_seconds
    load_figures = {
        "load_per_second": (counted["2xx"] - found.asked.passed) / found.seconds,
        "load_refused": counted["4xx"] + counted["5xx"] - found.asked.refused,
        "carried_per_second": carried,
    }
    numbers = figures(found.windows, MAIN.name) | load_figures | {"bound_ms": bound}
    return Result(
        name="invalidate",
        figures={name: round(value, 3) for name, value in numbers.items()},
        ratios={"ttl_alone_p50": round(bound / 2 / numbers["p50_ms"], 1)},
        peer="the same answers remembered for as long, and no signal: computed, not measured",
        rounds=1,
        machine=facts(),
        settings={
            "signals": ", ".join(f"{len(windows)} {name}" for name, windows in found.windows.items()),
            "envoy_workers": str(WORKERS),
            "cache_seconds": str(config.edge.cache_seconds),
            "load": f"h2load, {len(CROWD)} principals, {LOAD_SHARE:.0%} of what wrk got through",
        },
    )


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr)
