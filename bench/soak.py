"""An hour under mixed load: does any process of ours grow, in memory or in open files?

Many principals ask for what is theirs, for what is not, and with tokens that are forged; some answers are given again
by the edge, most are judged; and risks come and go all the while, so that answers end early.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.edges.variant import ANSWER, SCOPE
from bench.machine import command, descendants, facts, memory_kb
from bench.result import CannotRun, Result, line, table
from bench.system import AUDIENCE, Issuer, Upstream, open_folder, portcullis, tool, until_idle, upstream
from deploy.demo.ports import free_port
from gateway.config import Config, Edge, GatewayProcesses, Guard, Identity, Policy, Route, Service
from gateway.config import Issuer as IssuerConfig

PEOPLE = 200
_SAMPLE_SECONDS = 30.0
_SIGNAL_SECONDS = 0.5  # between risks that are set
_REQUEST_MS = 4  # that each of wrk's connections waits between requests: the machine has room left
_CONNECTIONS = 16
_LUA = """
local tokens = {{ {tokens} }}
local paths = {{ {paths} }}
function delay() return {delay} end
function request()
  local who = math.random(#tokens)
  return wrk.format("GET", paths[math.random(2) == 1 and who or math.random(#paths)], {{authorization = tokens[who]}})
end
"""


@dataclass
class Watched:
    """One process over time."""

    role: str
    memory_mb: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    """`python -m bench soak [--json] [--minutes M]`. Status 3 where something grew."""
    parser = argparse.ArgumentParser(prog="python -m bench soak", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--minutes", type=float, default=60.0, help="under load; a third of them is warm-up")
    options = parser.parse_args(arguments)
    try:
        result = asyncio.run(measure(options.minutes))
    except CannotRun as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 3 if result.figures["grew"] else 0


async def measure(minutes: float) -> Result:
    """Start everything, load it, and watch. Raises CannotRun."""
    wrk, issuer = tool("wrk", "wrk"), Issuer()
    with open_folder("soak") as folder:
        async with issuer.serve() as url, upstream(folder, ANSWER) as behind:
            config = configuration(folder, behind, url)
            async with portcullis(config, folder) as running:
                await until_idle(running)
                script = folder / "load.lua"
                script.write_text(_script(issuer))
                settings = ("-t1", f"-c{_CONNECTIONS}", f"-d{int(minutes * 60)}s", "-s", str(script))
                load = await asyncio.create_subprocess_exec(
                    wrk, *settings, f"http://127.0.0.1:{running.port}/", stdout=asyncio.subprocess.PIPE
                )
                signalling = asyncio.create_task(_signal(config.state / "run" / "admin.sock"))
                watched = await _watch(running.pid, load)
                signalling.cancel()
                said = (await load.communicate())[0].decode()
    print(said, file=sys.stderr)
    return _result(watched, minutes)


def configuration(folder: Path, behind: Upstream, issuer: str) -> Config:
    """Two workers of Envoy, two processes that judge, an account for each person."""
    data = folder / "data.json"
    accounts = {str(number): {"owner": f"person:p{number}"} for number in range(PEOPLE)}
    data.write_text(json.dumps({"accounts": accounts}))
    trusted = IssuerConfig(issuer=issuer, jwks_url=f"{issuer}/jwks", audience=AUDIENCE)
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), concurrency=2),
        gateway=GatewayProcesses(workers=2),
        services={"accounts": Service(address="127.0.0.1", port=behind.http)},
        routes=(Route(prefix="/accounts", service="accounts"),),
        identity=Identity(issuers=(trusted,)),
        policy=Policy(data=data),
        guard=Guard(never_block_principals=tuple(f"person:p{number}" for number in range(PEOPLE))),
    )


def _script(issuer: Issuer) -> str:
    people = [issuer.token(f"person:p{number}", scope=SCOPE, exp=int(time.time()) + 86_000) for number in range(PEOPLE)]
    forged = [token[:-8] + "AAAAAAAA" for token in people[:10]]
    tokens = ", ".join(f'"Bearer {token}"' for token in (*people, *forged))
    paths = ", ".join(f'"/accounts/{number}"' for number in range(PEOPLE + len(forged)))
    return _LUA.format(tokens=tokens, paths=paths, delay=_REQUEST_MS)


async def _signal(socket: Path) -> None:
    """Policy data about one person after another changes, and changes back."""
    connector = aiohttp.UnixConnector(path=str(socket))
    async with aiohttp.ClientSession("http://portcullis", connector=connector) as session:
        for number in range(1 << 30):
            path, level = f"/risk/person:p{number // 2 % PEOPLE}", "high" if number % 2 else "low"
            order = {"path": path, "value": level, "reason": "soak"}
            async with session.put("/v1/policy/data", json=order) as answer:
                if answer.status != 200:
                    print(f"soak: an order was answered with {answer.status}", file=sys.stderr)
            await asyncio.sleep(_SIGNAL_SECONDS)


async def _watch(root: int, load: asyncio.subprocess.Process) -> list[Watched]:
    known: dict[int, Watched] = {}
    while load.returncode is None:
        for pid in (root, *descendants(root)):
            if memory := memory_kb(pid):
                one = known.setdefault(pid, Watched(_role(pid)))
                one.memory_mb.append(memory / 1024)
                one.files.append(_open_files(pid))
        try:
            await asyncio.wait_for(load.wait(), _SAMPLE_SECONDS)
        except TimeoutError:
            continue
    return list(known.values())


def _open_files(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def _role(pid: int) -> str:
    words = command(pid)
    if "/envoy " in words:
        return "envoy"
    return next((name for name in ("gateway", "judges", "detectors") if f" run {name}" in words), "others")


def _result(watched: Sequence[Watched], minutes: float) -> Result:
    """What the last third has more than the second one: the first is warm-up."""
    figures: dict[str, float] = {"processes": float(len(watched))}
    for one in watched:
        third = len(one.memory_mb) // 3
        if not third:
            continue
        grown = statistics.median(one.memory_mb[-third:]) - statistics.median(one.memory_mb[third : 2 * third])
        opened = statistics.median(one.files[-third:]) - statistics.median(one.files[third : 2 * third])
        for name, value in (("memory_mb", one.memory_mb[-1]), ("grown_mb", grown), ("files_grown", opened)):
            figures[f"{one.role}_{name}"] = round(max(value, figures.get(f"{one.role}_{name}", value)), 2)
    bound = 0.02  # of what a process takes: the allocator's own coming and going
    sizes = {name.removesuffix("_grown_mb"): value for name, value in figures.items() if name.endswith("_grown_mb")}
    grew = [role for role, value in sizes.items() if value > max(2.0, bound * figures[f"{role}_memory_mb"])]
    grew += [name for name, value in figures.items() if name.endswith("_files_grown") and value > 2]
    return Result(
        name="soak",
        figures=figures | {"grew": float(len(grew)), "minutes": minutes},
        ratios={},
        peer="none",
        rounds=1,
        machine=facts(),
        settings={"people": str(PEOPLE), "connections": str(_CONNECTIONS), "grew": ", ".join(grew) or "nothing"},
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
