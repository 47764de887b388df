"""Live streams that are cut: 10,000 gRPC streams through the edge, ten of them the principal's that an operator cuts.

The clock (CLOCK_MONOTONIC, one for all processes) starts just before the order is written to the gateway's admin socket
and stops when the caller has read its stream's end. `portcullis up` runs whole. Peers: a listener update that drains,
and a check every five seconds, both with the same streams.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from bench.streams.caller import Caller
from bench.streams.crowd import EACH, Crowd, crowd
from bench.streams.order import order, told
from bench.streams.peers import PERIOD, checked, drained
from bench.streams.running import Parts, configuration
from bench.streams.upstream import held_upstream
from bench.system import Issuer, Plain, open_folder, plain_envoy, portcullis, until_idle

IDLE_SECONDS = 5.0
PINGS = 500
CHECKED = 40  # principals revoked between two looks of the periodic check
_SEED = 6
Figures = dict[str, float]


@dataclass(frozen=True)
class Site:
    """Everything that runs."""

    tokens: dict[str, str]  # by principal
    port: int  # of our edge
    admin: Path
    parts: Parts
    plain: Plain
    cuts: int


def main(arguments: Sequence[str]) -> int:
    """`python -m bench cut [--json] [--rounds N] [--streams N] [--cuts N]`."""
    parser = argparse.ArgumentParser(prog="python -m bench cut", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; a figure is the median over them")
    parser.add_argument("--streams", type=int, default=10_000, help="live streams, ten of each principal")
    parser.add_argument("--cuts", type=int, default=200, help="principals that are cut in a round")
    options = parser.parse_args(arguments)
    try:
        result = uvloop.run(measure(options.rounds, options.streams, options.cuts))
    except CannotRun as error:
        print(f"cut: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


async def measure(rounds: int, streams: int, cuts: int) -> Result:
    """Start everything and measure. Raises CannotRun."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_folder("cut"))
        (folder / "plain").mkdir()
        issuer = Issuer()
        url = await stack.enter_async_context(issuer.serve())
        behind = await stack.enter_async_context(held_upstream())
        names = [f"person:caller-{number}" for number in range(max(1, streams // EACH))]
        config = configuration(folder, behind, url, names)
        plain = await stack.enter_async_context(plain_envoy(config, folder / "plain"))
        ours = await stack.enter_async_context(portcullis(config, folder))
        await until_idle(ours)
        tokens = {name: issuer.token(name, scope="ledger:read") for name in names}
        site = Site(tokens, ours.port, config.state / "run" / "admin.sock", Parts.of(ours), plain, cuts)
        figures = await _harness(behind)
        return _result(figures, [await _round(site, number) for number in range(rounds)], site)


async def _harness(behind: int) -> Figures:
    """What client and upstream themselves cost: a PING from one to the other and back, with nothing between them."""
    caller = await Caller.connect(behind, "harness", "")
    seconds = [await caller.ping() for _ in range(PINGS)]
    caller.close()
    return {f"harness_p{share}_ms": _percentile(seconds, share) for share in (50, 99)}


async def _round(site: Site, number: int) -> Figures:
    drawn = random.Random(_SEED + number)
    ours = await _ours(site, drawn)
    drain = await drained(site.plain, site.tokens, drawn.randrange(len(site.tokens)), number)
    figures = ours | {"drain_p50_ms": _percentile(drain.seconds, 50), "drain_disturbed": drain.disturbed}
    _say(f"round {number + 1}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    return figures


async def _ours(site: Site, drawn: random.Random) -> Figures:
    empty = site.parts.cost()
    async with crowd(site.port, site.tokens) as people:
        with _no_pauses():
            figures = await _idle(site, people, empty.memory_kb, empty.cpu_seconds)
            figures |= await _cuts(site, people, drawn)
            figures |= await _checks(site, people, drawn)
            return figures | await _all(site, people)


async def _idle(site: Site, people: Crowd, memory: Figures, cpu: Figures) -> Figures:
    """What streams cost that only live, and what it cost to open them."""
    opened = site.parts.cost()
    figures = {"opened_per_second": people.live / people.opened_seconds}
    for name in ("gateway", "edge"):
        figures[f"open_{name}_cpu_us"] = (opened.cpu_seconds[name] - cpu[name]) * 1e6 / people.live
    await asyncio.sleep(IDLE_SECONDS)  # what came with opening them, such as access logs and training, is over
    used, settled = await site.parts.idle(IDLE_SECONDS), site.parts.cost()
    for name, percent in used.items():
        figures[f"idle_stream_{name}_kb"] = (settled.memory_kb[name] - memory[name]) / people.live
        figures[f"idle_{name}_cpu_percent"] = percent
    figures["idle_cpu_percent"] = sum(used.values())
    figures["memory_mb"] = sum(settled.memory_kb.values()) / 1024
    return figures | {"memory_all_mb": site.parts.memory_mb()}


async def _cuts(site: Site, people: Crowd, drawn: random.Random) -> Figures:
    """One principal after another, each back with as many streams before the next is cut."""
    each, last = [], []
    for _ in range(site.cuts):
        caller = drawn.choice(people.callers)
        ended = await _cut(site, caller)
        each += ended
        last.append(max(ended))
        await caller.open(EACH)
    within = [cut["milliseconds"] / 1000 for cut in await told(site.admin, "/v1/cuts?limit=2000")]
    return {
        "gateway_cut_p50_ms": _percentile(within, 50),  # from the order's arrival until the gateway has reset a stream
        "gateway_cut_p99_ms": _percentile(within, 99),
        "cut_p50_ms": _percentile(each, 50),
        "cut_p99_ms": _percentile(each, 99),
        "cut_max_ms": 1000 * max(each),
        "cut_last_p50_ms": _percentile(last, 50),
        "cut_last_p99_ms": _percentile(last, 99),
        "disturbed": len(people.callers) * EACH - people.live,
    }


async def _cut(site: Site, caller: Caller) -> list[float]:
    """Seconds from the order to the end of each of the caller's streams."""
    caller.ends.clear()
    async with order(site.admin) as ordered:
        start = ordered.cut("principal", caller.principal)
        await caller.ended()
        if await ordered.answer() != EACH:
            raise CannotRun(f"not every stream of {caller.principal} was cut")
    return [end - start for end in caller.ends]


async def _checks(site: Site, people: Crowd, drawn: random.Random) -> Figures:
    chosen = drawn.sample(people.callers, min(CHECKED, len(people.callers)))
    moments = [(caller, PERIOD * (place + drawn.random()) / len(chosen)) for place, caller in enumerate(chosen)]
    seconds = await checked(site.admin, people, moments)
    for caller in chosen:
        await caller.open(EACH)
    return {f"check_p{share}_ms": _percentile(seconds, share) for share in (50, 99)}


async def _all(site: Site, people: Crowd) -> Figures:
    """Everybody at once: all come from this machine's address."""
    async with order(site.admin) as ordered:
        start = ordered.cut("address", "127.0.0.1")
        taken = await people.ended() - start
        if await ordered.answer() != len(people.callers) * EACH:
            raise CannotRun("not every stream was cut")
    return {"cut_all_ms": 1000 * taken}


def _result(figures: Figures, rounds: Sequence[Figures], site: Site) -> Result:
    figures = figures | {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    # Memory that was freed is used again without being asked for: only the first round sees what a stream takes.
    figures |= {name: value for name, value in rounds[0].items() if name.startswith("idle_stream_")}
    figures |= {"disturbed": sum(each["disturbed"] for each in rounds)}
    ratios = {
        "periodic_check_p50": statistics.median(each["check_p50_ms"] / each["cut_p50_ms"] for each in rounds),
        "listener_drain_p50": statistics.median(each["drain_p50_ms"] / each["cut_p50_ms"] for each in rounds),
    }
    return Result(
        name="cut",
        figures={name: round(value, 3) for name, value in figures.items()},
        ratios={name: round(value, 1) for name, value in ratios.items()},
        peer="a check every 5 s, cutting as we do; the listener of a stock Envoy updated, drain time 1 s",
        rounds=len(rounds),
        machine=facts(),
        settings={
            "streams": str(len(site.tokens) * EACH),
            "principals": f"{len(site.tokens)}, one connection and {EACH} streams each",
            "cuts": str(site.cuts),
            "signal": "POST /v1/sessions/cut on the admin socket",
            "envoy_workers": "1",
        },
    )


@contextmanager
def _no_pauses() -> Iterator[None]:
    """No garbage collection of the client's own while it looks at the clock."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """In milliseconds."""
    ranked = sorted(seconds)
    return 1000 * ranked[min(len(ranked) - 1, len(ranked) * percent // 100)]


def _say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr)
