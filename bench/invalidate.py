"""From a signal to the first request that is judged anew, in every worker of Envoy, under load.

The clock (CLOCK_MONOTONIC, one for all processes) starts just before an order is written to the gateway's admin socket
and stops, for each worker, when the probe has read its first refusal. The probe asks the same all the time on
connections of both workers, which answer it from what they remember. `portcullis up` runs whole.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack

from bench.edges.closed_loop import saturate
from bench.edges.side import Side
from bench.edges.variant import VARIANTS
from bench.invalidating.figures import figures, pushed_figures
from bench.invalidating.rounds import Crowd, Found, Site, of_the_load, one_round
from bench.invalidating.signals import MAIN, OTHERS, ROLE, SCOPE, Signal
from bench.invalidating.site import CROWD, WORKERS, configuration
from bench.invalidating.window import Window
from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from bench.system import Issuer, open_folder, plain_envoy, portcullis, until_idle, upstream
from gateway.config import Config

SIGNALS = 1_000
OTHERS_SHARE = 0.2
ROUNDS = 4
LOAD_SHARE = 0.5  # of what the edge carries here
_SATURATED_SECONDS = 5
_SEED = 7


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
        folder = stack.enter_context(open_folder("invalidate"))
        issuer = Issuer()
        url = await stack.enter_async_context(issuer.serve())
        behind = await stack.enter_async_context(upstream(folder, b""))
        config = configuration(folder, behind, url)
        ours = await stack.enter_async_context(portcullis(config, folder))
        (folder / "plain").mkdir()
        plain = await stack.enter_async_context(plain_envoy(config, folder / "plain"))
        await until_idle(ours)
        tokens = [issuer.token(name, scope=SCOPE, roles=[ROLE]) for name in CROWD]
        side = Side("ours", ours.port, {})
        carried = (await saturate(side, VARIANTS[0], tokens[0], _SATURATED_SECONDS, folder)).rate
        _say(f"carries {carried:,.0f} requests/s")
        crowd = Crowd(tokens, carried * LOAD_SHARE)
        rounds = list[Found]()
        for part in _parts(signals):
            rounds.append(await one_round(part, Site(config, issuer, plain), crowd))
            _say(f"round {len(rounds)}: " + ", ".join(f"{name} {value:.2f}" for name, value in _brief(rounds[-1])))
        return _result(rounds, carried, config)


def _parts(signals: int) -> list[list[tuple[str, Signal]]]:
    """What is signalled about whom, by rounds."""
    others = [kind for kind in OTHERS for _ in range(max(1, int(signals * OTHERS_SHARE)))]
    kinds: list[Signal] = [MAIN] * signals + others
    random.Random(_SEED).shuffle(kinds)
    named = [(f"probe-{number}", kind) for number, kind in enumerate(kinds)]
    rounds = min(ROUNDS, len(named))
    return [named[number::rounds] for number in range(rounds)]


def _brief(found: Found) -> Iterator[tuple[str, float]]:
    """What a round says of itself."""
    windows = [window for name, window in found.windows if name == MAIN.name]
    numbers = figures({MAIN.name: windows}, MAIN.name) if windows else {}
    numbers |= pushed_figures(found.pushed)
    names = ("p50_ms", "p99_ms", "marked_p50_ms", "asking_p50_ms", "stale_after_acknowledged", "push_p50_ms")
    return ((name, numbers[name]) for name in names if name in numbers)


def _result(rounds: Sequence[Found], carried: float, config: Config) -> Result:
    windows: dict[str, list[Window]] = {kind.name: [] for kind in (MAIN, *OTHERS)}
    for name, window in (each for found in rounds for each in found.windows):
        windows[name].append(window)
    pushed = [each for found in rounds for each in found.pushed]
    bound = 1000 * config.edge.cache_seconds
    numbers = figures(windows, MAIN.name) | pushed_figures(pushed) | of_the_load(rounds)
    numbers |= {"carried_per_second": carried, "bound_ms": bound}
    return Result(
        name="invalidate",
        figures={name: round(value, 3) for name, value in numbers.items()},
        ratios={
            "routes_pushed_p50": round(numbers["push_p50_ms"] / numbers["p50_ms"], 2),
            "ttl_alone_p50": round(bound / 2 / numbers["p50_ms"], 1),
        },
        peer="routes pushed to a stock Envoy; ttl_alone is computed: remembered as long, and no signal",
        rounds=len(rounds),
        machine=facts(),
        settings={
            "signals": ", ".join(f"{len(found)} {name}" for name, found in windows.items()),
            "pushes": str(len(pushed)),
            "envoy_workers": str(WORKERS),
            "cache_seconds": str(config.edge.cache_seconds),
            "load": f"h2load, {len(CROWD)} principals, {LOAD_SHARE:.0%} of what wrk got through",
        },
    )


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr)
