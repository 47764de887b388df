"""A round: signals through ours, then routes pushed to the peer, each under the same load."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.invalidating.load import load
from bench.invalidating.measuring import CONNECTIONS, Asked, measuring
from bench.invalidating.pushes import pushes
from bench.invalidating.signals import Signal
from bench.invalidating.site import ACCOUNT, WORKERS
from bench.invalidating.window import Window
from bench.result import CannotRun
from bench.system import Issuer, Plain
from gateway.config import Config
from gateway.edge import ADMIN_SOCKET, EnvoyAdmin

PUSHES_SHARE = 0.2  # of as many as there are signals
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


async def one_round(kinds: Sequence[tuple[str, Signal]], site: Site, crowd: Crowd) -> Found:
    """Ours, then the peer. Raises CannotRun."""
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


def of_the_load(rounds: Sequence[Found]) -> dict[str, float]:
    """What Envoy counted of it, less what the probe asked."""
    counted = {name: sum(found.counted[name] for found in rounds) for name in rounds[0].counted}
    passed, refused = sum(found.asked.passed for found in rounds), sum(found.asked.refused for found in rounds)
    return {
        "load_per_second": (counted["2xx"] - passed) / sum(found.seconds for found in rounds),
        "load_refused": counted["4xx"] + counted["5xx"] - refused,
    }


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
