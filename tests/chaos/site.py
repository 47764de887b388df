"""The site: a gateway, a broker and lines, each a process in a network namespace of its own, with bad wires between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from defense_lines.agent.actuation import since_boot
from defense_lines.agent.prefix import Prefix
from gateway.config import Config
from tests.chaos import layout, parts
from tests.chaos.kernel import kernel_ends
from tests.chaos.layout import CONSUMERS, KERNELS, SHELVES
from tests.chaos.part import FORKS, Part
from tests.chaos.parts import Consumer, Line, run_broker, run_consumer, run_gateway, run_line
from tests.chaos.shelf import Looker
from tests.chaos.wire import Link, Weather, carry
from tests.defense_lines.nftables_rig import Namespace, namespaces

_ANSWER = 10.0  # seconds for an answer of the admin API
_START = 60.0  # seconds until everything is there, on a machine that others use too
_POLL = 0.1  # seconds between looks


@dataclass
class Site:
    """What runs."""

    folder: Path
    config: Config
    parts: Mapping[str, Part]
    lines: Mapping[str, Line | Consumer]
    rooms: Mapping[str, Namespace]  # by the line's name
    admin: aiohttp.ClientSession
    consumers: tuple[str, ...] = CONSUMERS
    _lookers: dict[str, Looker] = field(default_factory=dict)

    async def ask(
        self, method: str, path: str, order: Mapping[str, object] | None = None
    ) -> dict[str, Any] | list[Any]:
        """The admin API's answer. Raises aiohttp.ClientError, OSError, TimeoutError."""
        async with self.admin.request(method, path, json=order) as answer:
            told: dict[str, Any] | list[Any] = await answer.json()
            return told

    async def held(self, name: str) -> dict[Prefix, float]:
        """What a line enforces at this moment, and until when (Unix seconds): asked of its kernel, not of its agent."""
        line = self.lines[name]
        if isinstance(line, Consumer) or line.table:
            return await asyncio.to_thread(self.rooms[name].run, kernel_ends, line.table)
        ahead = time.time() - since_boot()
        looker = self._lookers.setdefault(name, Looker(line.shelf))
        return {prefix: end + ahead for prefix, end in looker.ends().items()}

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, seconds: float = _START) -> None:
        """Poll until it holds. Raises TimeoutError by name."""
        end = time.monotonic() + seconds
        while not await condition():
            if time.monotonic() > end:
                lines = {name: _brief(line) for name, line in (await self.statuses()).items()}
                raise TimeoutError(f"never happened: {what}; lines are {lines}")
            await asyncio.sleep(_POLL)

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
    names = ("gateway", "broker", *KERNELS, *SHELVES, *CONSUMERS)
    FORKS.set_forkserver_preload([parts.__name__])
    with namespaces(len(names)) as made:
        rooms = dict(zip(names, made, strict=True))
        wires = layout.links(rooms)
        await _carried(list(wires.values()), weather, seed)
        every_line: list[Line | Consumer] = [*layout.agents(folder, wires), *layout.consumers(folder, wires)]
        lines = {line.name: line for line in every_line}
        config = layout.configuration(folder, wires["broker"].addresses[1])
        every = _parts(folder, config, rooms, lines)
        connector = aiohttp.UnixConnector(str(config.state / "run" / "admin.sock"), limit=32)
        limit = aiohttp.ClientTimeout(total=_ANSWER)
        async with aiohttp.ClientSession("http://portcullis", connector=connector, timeout=limit) as admin:
            here = Site(folder, config, every, lines, rooms, admin)
            try:
                for part in every.values():
                    part.start()
                await here.until(lambda: _all_up(here), "every line is up")
                yield here
            finally:
                for part in every.values():
                    await part.kill()


def _parts(
    folder: Path, config: Config, rooms: Mapping[str, Namespace], lines: Mapping[str, Line | Consumer]
) -> dict[str, Part]:
    gateway = Part("gateway", "gateway", run_gateway, (config, str(rooms["gateway"].path), folder / "gateway.log"))
    broker = Part("broker", "broker", run_broker, (folder, layout.BROKER, str(rooms["broker"].path)))
    made = [gateway, broker]
    for name, line in lines.items():
        if isinstance(line, Line):
            made.append(Part(name, "agent", run_line, (line, folder / f"{name}.log")))
        else:
            made.append(Part(name, "consumer", run_consumer, (line, folder / f"{name}.log")))
    return {part.name: part for part in made}


def _brief(line: Mapping[str, Any]) -> str:
    return f"{line['state']} {line['service']} {line['pending']} {line['last_error']}".strip()


async def _all_up(here: Site) -> bool:
    statuses = await here.statuses()
    return all(statuses.get(name, {}).get("state") == "up" for name in here.lines)


async def _carried(links: list[Link], weather: Weather, seed: int) -> None:
    ready, said = FORKS.Pipe(duplex=False)
    FORKS.Process(target=carry, args=(links, weather, seed, said), name="wires", daemon=True).start()
    said.close()
    await asyncio.to_thread(ready.recv)
