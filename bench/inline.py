"""Inline throughput: the same Envoy with nothing asked, against ours with every request judged by the gateway.

Both have one worker, the same nginx behind them and 32 connections of wrk before them. They take turns; a ratio is
taken within each round, and the median over rounds is the result. CPU time for each request is less noisy than
throughput.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.machine import command, cpu_seconds, descendants, facts
from bench.result import CannotRun, Result, line, table
from bench.system import (
    AUDIENCE,
    Issuer,
    Running,
    free_port,
    plain_envoy,
    portcullis,
    tool,
    until_idle,
    until_ok,
    upstream,
)
from gateway.config import Config, Edge, Guard, Identity, Policy, Route, Service
from gateway.config import Issuer as IssuerConfig

ALICE = "person:alice"
PATH = "/accounts/1001"
CONNECTIONS = 32
_DATA = {"accounts": {"1001": {"owner": ALICE}}}
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_COUNT = re.compile(r"^\s+(\d+) requests in", re.MULTILINE)
_TAIL = re.compile(r"^\s+99%\s+([\d.]+)(us|ms|s)$", re.MULTILINE)
_FAILED = re.compile(r"^\s*(Non-2xx or 3xx responses|Socket errors):.*", re.MULTILINE)
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Load:
    """What one run of wrk found."""

    rate: float  # requests a second
    p99_ms: float
    cpu_us: dict[str, float]  # CPU time for each request, by process


def main(arguments: Sequence[str]) -> int:
    """`python -m bench inline [--json] [--rounds N] [--seconds S]`."""
    parser = argparse.ArgumentParser(prog="python -m bench inline", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=7, help="rounds after the warm-up")
    parser.add_argument("--seconds", type=int, default=4, help="length of one side of a round")
    options = parser.parse_args(arguments)
    try:
        result = asyncio.run(measure(options.rounds, options.seconds))
    except CannotRun as error:
        print(f"inline: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


async def measure(rounds: int, seconds: int) -> Result:
    """Start both sides, warm them up, and let them take turns. Raises CannotRun."""
    wrk = tool("wrk", "wrk")
    issuer = Issuer()
    with tempfile.TemporaryDirectory(prefix="inline-") as name:
        folder = _prepared(Path(name))
        async with issuer.serve() as url, upstream(folder) as behind:
            config = configuration(folder, behind, url)
            token = issuer.token(ALICE, scope="accounts:read")
            async with plain_envoy(config, folder / "plain") as plain, portcullis(config, folder) as ours:
                await _judges(ours, token)
                await until_idle(ours)
                sides = {"plain": plain, "judged": ours}
                loads = await _turns(wrk, sides, token, rounds, seconds)
    return _result(loads, rounds, seconds)


def _prepared(folder: Path) -> Path:
    folder.chmod(0o755)  # started as root, `portcullis up` runs its children as another user
    (folder / "plain").mkdir()
    return folder


def configuration(folder: Path, behind: int, issuer: str) -> Config:
    """One service, one route, one issuer, the starter policy and one account."""
    data = folder / "data.json"
    data.write_text(json.dumps(_DATA))
    trusted = IssuerConfig(issuer=issuer, jwks_url=f"{issuer}/jwks", audience=AUDIENCE)
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), concurrency=1),
        services={"accounts": Service(address="127.0.0.1", port=behind)},
        routes=(Route(prefix="/accounts", service="accounts"),),
        identity=Identity(issuers=(trusted,)),
        policy=Policy(data=data),
        # The load is an attack by any measure: this is about what judging costs, not about stopping it.
        guard=Guard(never_block_principals=(ALICE,)),
    )


async def _judges(ours: Running, token: str) -> None:
    """Before anything is measured: ours lets the token pass, and nobody without one."""
    async with aiohttp.ClientSession() as session:
        await until_ok(session, f"http://127.0.0.1:{ours.port}{PATH}", token)
        async with session.get(f"http://127.0.0.1:{ours.port}{PATH}") as answer:
            if answer.status != 401:
                raise CannotRun(f"a request without a token was answered with {answer.status}, not 401")


async def _turns(wrk: str, sides: dict[str, Running], token: str, rounds: int, seconds: int) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        order = list(sides) if number % 2 else list(reversed(sides))  # who goes first has no advantage
        for name in order:
            load = await _load(wrk, sides[name], token, seconds)
            print(f"{'warm-up' if not number else f'round {number}'} {name}: {load.rate:,.0f}/s", file=sys.stderr)
            if number:
                loads[name].append(load)
    return loads


async def _load(wrk: str, side: Running, token: str, seconds: int) -> Load:
    pids = [side.pid, *descendants(side.pid)]
    before = {pid: cpu_seconds(pid) for pid in pids}
    text = await _wrk(wrk, side.port, token, seconds)
    requests = int(_found(_COUNT, text).group(1))
    spent: dict[str, float] = {}
    for pid in pids:
        spent[_role(pid)] = spent.get(_role(pid), 0.0) + (cpu_seconds(pid) - before[pid]) * 1e6 / requests
    tail = _found(_TAIL, text)
    return Load(float(_found(_RATE, text).group(1)), float(tail.group(1)) * _MILLISECONDS[tail.group(2)], spent)


async def _wrk(wrk: str, port: int, token: str, seconds: int) -> str:
    header = f"authorization: Bearer {token}"
    settings = ("-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-H", header)
    child = await asyncio.create_subprocess_exec(
        wrk, *settings, f"http://127.0.0.1:{port}{PATH}", stdout=asyncio.subprocess.PIPE
    )
    text = (await child.communicate())[0].decode()
    if failed := _FAILED.search(text):
        raise CannotRun(f"not every request was answered with 200: {failed.group(0).strip()}")
    return text


def _found(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    match = pattern.search(text)
    if match is None:
        raise CannotRun(f"wrk said something else than expected: {text!r}")
    return match


def _role(pid: int) -> str:
    words = command(pid)
    if "/envoy " in words:
        return "envoy"
    return "gateway" if " run gateway" in words else "others"


def _result(loads: dict[str, list[Load]], rounds: int, seconds: int) -> Result:
    figures = {}
    for name, side in loads.items():
        figures[f"{name}_per_second"] = statistics.median(load.rate for load in side)
        figures[f"{name}_p99_ms"] = statistics.median(load.p99_ms for load in side)
        for role in side[0].cpu_us:
            figures[f"{name}_{role}_cpu_us"] = statistics.median(load.cpu_us[role] for load in side)
    ratios = [judged.rate / plain.rate for judged, plain in zip(loads["judged"], loads["plain"], strict=True)]
    figures |= {"judged_vs_plain_min": min(ratios), "judged_vs_plain_max": max(ratios)}
    return Result(
        name="inline",
        figures={name: round(value, 3) for name, value in figures.items()},
        ratios={"judged_vs_plain": round(statistics.median(ratios), 3)},
        peer="the same Envoy without authorization and access logs",
        rounds=rounds,
        machine=facts(),
        settings={
            "connections": str(CONNECTIONS),
            "envoy_workers": "1",
            "seconds": str(seconds),
            "upstream": "nginx, 1 worker",
            "load": "wrk, 1 thread",
            "every request": f"GET {PATH}, ES256 token of {ALICE}, starter policy, access log over gRPC",
        },
    )
