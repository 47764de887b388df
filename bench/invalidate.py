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
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.edges.closed_loop import saturate
from bench.edges.side import Side
from bench.edges.variant import VARIANTS
from bench.invalidating.figures import figures, pushed_figures
from bench.invalidating.load import load
from bench.invalidating.measuring import CONNECTIONS, Asked, measuring
from bench.invalidating.pushes import pushes
from bench.invalidating.signals import MAIN, OTHERS, ROLE, SCOPE, Signal
from bench.invalidating.site import ACCOUNT, CROWD, WORKERS, configuration
from bench.invalidating.window import Window
from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from bench.system import Issuer, Plain, plain_envoy, portcullis, until_idle, upstream
from gateway.config import Config
from gateway.edge import ADMIN_SOCKET, EnvoyAdmin

SIGNALS = 1_000
OTHERS_SHARE = 0.2
PUSHES_SHARE = 0.2  # of as many as there are signals
ROUNDS = 4
LOAD_SHARE = 0.5  # of what the edge carries here
_SATURATED_SECONDS = 5
_SEED = 7


@dataclass(frozen=True)
class Site:
    """What runs: ours by its configuration, and a stock Envoy."""

    config: Config
    issuer: Issuer
    plain: Plain


@dataclass(frozen=True)
class Crowd:
    """The load: who, and how often in a second."""

    tokens: Sequence[str]
    rate: float

    def url(self, port: int) -> str:
        """What they ask of the edge there."""
        return f"http://127.0.0.1:{port}{ACCOUNT}"


@dataclass(frozen=True)
class Found:
    """What one round came to."""

    windows: Sequence[tuple[str, Window]]  # with the kind of each signal
    asked: Asked
    counted: dict[str, int]  # answers of the edge, by class of status
    seconds: float
    pushed: Sequence[Sequence[float]]  # of the peer: milliseconds, by worker


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
            rounds.append(await _round(part, Site(config, issuer, plain), crowd))
            _say(f"round {len(rounds)}: " + ", ".join(f"{name} {value:.2f}" for name, value in _brief(rounds[-1])))
        return _result(rounds, carried, config)


async def _round(kinds: Sequence[tuple[str, Signal]], site: Site, crowd: Crowd) -> Found:
    """Ours, then the peer, each under the same load."""
    async with load(crowd.url(site.config.edge.port), crowd.tokens, crowd.rate):
        before = await _counted(site.config)
        start = time.monotonic()
        windows, asked = await asyncio.to_thread(_signalled, site, kinds)
        seconds, after = time.monotonic() - start, await _counted(site.config)
    pushed = await _pushed(site.plain, crowd, max(1, int(len(kinds) * PUSHES_SHARE)))
    return Found(windows, asked, {name: after[name] - before[name] for name in after}, seconds, pushed)


async def _pushed(plain: Plain, crowd: Crowd, count: int) -> list[list[float]]:
    async with (
        pushes(plain, CONNECTIONS, WORKERS) as pushing,
        load(crowd.url(plain.port), crowd.tokens, crowd.rate),
    ):
        return [await pushing.pushed() for _ in range(count)]


def _parts(signals: int) -> list[list[tuple[str, Signal]]]:
    """What is signalled about whom, by rounds."""
    others = [kind for kind in OTHERS for _ in range(max(1, int(signals * OTHERS_SHARE)))]
    kinds: list[Signal] = [MAIN] * signals + others
    random.Random(_SEED).shuffle(kinds)
    named = [(f"probe-{number}", kind) for number, kind in enumerate(kinds)]
    rounds = min(ROUNDS, len(named))
    return [named[number::rounds] for number in range(rounds)]


def _open_to_all(folder: str) -> Path:
    """Started as root, `portcullis up` runs its children as another user."""
    path = Path(folder)
    path.chmod(0o755)
    return path


def _signalled(site: Site, kinds: Sequence[tuple[str, Signal]]) -> tuple[list[tuple[str, Window]], Asked]:
    """Blocking: in a thread of its own."""
    windows = list[tuple[str, Window]]()
    try:
        with measuring(site.config, site.issuer, _SEED) as measured, _no_pauses():
            for name, kind in kinds:
                windows.append((kind.name, measured.measured(kind, name)))
            return windows, measured.asked
    except OSError as error:
        raise CannotRun(f"the gateway is gone: {error}") from error


@contextmanager
def _no_pauses() -> Iterator[None]:
    """No garbage collection of our own while we look at the clock."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _counted(config: Config) -> dict[str, int]:
    """Answers of the edge so far, by class of status."""
    prefix = "http.edge.downstream_rq_"
    stats = await EnvoyAdmin(config.state / "run" / ADMIN_SOCKET).stats(prefix)
    return {name: stats.get(f"{prefix}{name}", 0) for name in ("2xx", "4xx", "5xx")}


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
    numbers = figures(windows, MAIN.name) | pushed_figures(pushed) | _of_the_load(rounds)
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


def _of_the_load(rounds: Sequence[Found]) -> dict[str, float]:
    counted = {name: sum(found.counted[name] for found in rounds) for name in rounds[0].counted}
    passed, refused = sum(found.asked.passed for found in rounds), sum(found.asked.refused for found in rounds)
    return {
        "load_per_second": (counted["2xx"] - passed) / sum(found.seconds for found in rounds),
        "load_refused": counted["4xx"] + counted["5xx"] - refused,
    }


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr)
