"""The site: a gateway and its lines, each a process in a network namespace of its own, with bad wires between them."""

from __future__ import annotations

import asyncio
import ipaddress
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509

from defense_lines.agent.actuation import since_boot
from defense_lines.agent.prefix import Prefix
from gateway.config import Agents, Config, Guard, Lines, MutualTls, Route, Service
from tests.authority import Authority
from tests.chaos import parts
from tests.chaos.kernel import kernel_ends
from tests.chaos.parts import Line, run_gateway, run_line
from tests.chaos.shelf import Looker
from tests.chaos.wire import Link, Weather, carry
from tests.defense_lines.nftables_rig import Namespace, namespaces

PORT = 8285
WIRES = "10.77.0.0/16"
NEVER = (WIRES, "192.0.2.0/24", "2001:db8:feed::/48")  # what the guard is told never to block
KERNELS, SHELVES = 2, 3
_HOUR = 3600.0
_ANSWER = 10.0  # seconds for an answer of the admin API
_START = 30.0  # seconds until a process is there, on a machine that others use too
_forks = multiprocessing.get_context("forkserver")


@dataclass
class Part:
    """A process that can be killed at any instant, and is then started again."""

    name: str
    kind: str
    run: Callable[..., None]
    arguments: tuple[Any, ...]
    kills: int = 0
    fell: list[int] = field(default_factory=list)  # exit codes of those that ended by themselves
    since: float = 0.0  # Unix seconds of its last start
    _process: BaseProcess | None = None

    def start(self) -> None:
        """Have it run."""
        self.since = time.time()
        self._process = _forks.Process(target=self.run, args=self.arguments, name=self.name)
        self._process.start()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is None:
            return
        self._process.kill()
        await self._gone(self._process)
        self._process = None

    async def restart(self) -> None:
        """Killed once more, and there again."""
        await self.kill()
        self.kills += 1
        self.start()

    async def stand(self) -> None:
        """Start it again if it ended by itself, which it should not."""
        if self._process is not None and self._process.exitcode is not None:
            self.fell.append(self._process.exitcode)
            self.start()

    async def _gone(self, process: BaseProcess) -> None:
        while process.exitcode is None:
            await asyncio.sleep(0.001)


@dataclass
class Site:
    """What runs."""

    folder: Path
    config: Config
    parts: Mapping[str, Part]
    lines: Mapping[str, Line]
    rooms: Mapping[str, Namespace]  # by the line's name
    admin: aiohttp.ClientSession
    _lookers: dict[str, Looker] = field(default_factory=dict)

    async def ask(self, method: str, path: str, order: Mapping[str, object] | None = None) -> dict[str, Any] | list[Any]:
        """The admin API's answer; what is no JSON is none. Raises aiohttp.ClientError, OSError, TimeoutError."""
        async with self.admin.request(method, path, json=order) as answer:
            told: dict[str, Any] | list[Any] = await answer.json()
            return told

    async def held(self, name: str) -> dict[Prefix, float]:
        """What a line enforces at this moment, and until when (Unix seconds): asked of its kernel, not of its agent."""
        line = self.lines[name]
        if line.table:
            return await asyncio.to_thread(self.rooms[name].run, kernel_ends, line.table)
        ahead = time.time() - since_boot()
        return {prefix: end + ahead for prefix, end in self._lookers.setdefault(name, Looker(line.shelf)).ends().items()}

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = _START) -> None:
        """Poll until it holds. Raises TimeoutError by name."""
        end = time.monotonic() + seconds
        while not await condition():
            if time.monotonic() > end:
                raise TimeoutError(f"never happened: {what}; see {self.folder}")
            await asyncio.sleep(0.05)

    async def statuses(self) -> dict[str, dict[str, Any]]:
        """Each line's status by the gateway; none while that does not answer."""
        try:
            told = await self.ask("GET", "/v1/lines")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return {}
        return {line["name"]: line for line in told if isinstance(line, dict)}


@asynccontextmanager
async def site(folder: Path, seed: int, weather: Weather) -> AsyncIterator[Site]:
    """All of it, once every line is up."""
    _forks.set_forkserver_preload([parts.__name__])
    names = [f"kernel-{number}" for number in range(1, KERNELS + 1)] + [f"shelf-{number}" for number in range(1, SHELVES + 1)]
    with namespaces(1 + len(names)) as rooms:
        room, rooms_of = rooms[0], dict(zip(names, rooms[1:], strict=True))
        config = _configuration(folder, names)
        links = [
            Link(f"wire{number}", (str(room.path), str(rooms_of[name].path)), (_ours(number), _theirs(number)))
            for number, name in enumerate(names, 1)
        ]
        await _wires(links, weather, seed)
        authority = Authority(folder, "authority")
        addresses = [x509.IPAddress(ipaddress.ip_address(link.addresses[0])) for link in links]
        authority.issue("gateway", *addresses)
        lines = {name: _line(folder, authority, name, link) for name, link in zip(names, links, strict=True)}
        made = [Part("gateway", "gateway", run_gateway, (config, str(room.path), folder / "gateway.log"))]
        made += [Part(name, "agent", run_line, (line, folder / f"{name}.log")) for name, line in lines.items()]
        connector = aiohttp.UnixConnector(str(config.state / "run" / "admin.sock"), limit=32)
        limit = aiohttp.ClientTimeout(total=_ANSWER)
        async with aiohttp.ClientSession("http://portcullis", connector=connector, timeout=limit) as admin:
            here = Site(folder, config, {part.name: part for part in made}, lines, rooms_of, admin)
            try:
                for part in made:
                    part.start()
                await here.until(lambda: _all_up(here), "every line is up")
                yield here
            finally:
                for part in made:
                    await part.kill()


async def _all_up(here: Site) -> bool:
    statuses = await here.statuses()
    return all(statuses.get(name, {}).get("state") == "up" for name in here.lines)


async def _wires(links: list[Link], weather: Weather, seed: int) -> None:
    ready, said = _forks.Pipe(duplex=False)
    wires = _forks.Process(target=carry, args=(links, weather, seed, said), name="wires", daemon=True)
    wires.start()
    said.close()
    await asyncio.to_thread(ready.recv)


def _configuration(folder: Path, names: list[str]) -> Config:
    state = folder / "state"
    (state / "run").mkdir(parents=True, mode=0o700)
    tls = MutualTls(
        certificate=folder / "gateway.pem",
        key=folder / "gateway.key",
        client_ca=folder / "authority.pem",
        clients=tuple(names),
    )
    return Config(
        state=state,
        services={"bank": Service(address="127.0.0.1", port=9)},
        routes=(Route(prefix="/", service="bank"),),
        guard=Guard(never_block_addresses=NEVER, blocks_per_minute=1_000_000),
        lines=Lines(agents=Agents(address="0.0.0.0", port=PORT, tls=tls)),
    )


def _line(folder: Path, authority: Authority, name: str, link: Link) -> Line:
    certificate, key = authority.issue(name, x509.DNSName(name))
    state = folder / name
    state.mkdir(mode=0o700)
    kind, number = name.split("-")
    wrong = {"2": -_HOUR, "3": _HOUR}.get(number, 0.0) if kind == "shelf" else 0.0
    gateway = f"wss://{link.addresses[0]}:{PORT}"
    table = "portcullis" if kind == "kernel" else ""
    return Line(name, link.ends[1], gateway, (certificate, key, authority.certificate), state, table, wrong)


def _ours(number: int) -> str:
    return f"10.77.{number}.1"


def _theirs(number: int) -> str:
    return f"10.77.{number}.2"
