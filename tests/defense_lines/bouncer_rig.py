"""Debian's own firewall bouncer, our API that it polls, and a ledger whose orders its line is told; all in the caller's
network namespace.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bench.bouncers.debian import debian_bouncer
from defense_lines import Ledger
from defense_lines.ledger import Whom
from defense_lines.line import DefenseLine, LineUnavailable, Receipts
from defense_lines.lines.crowdsec import Addresses, Bouncer, BouncerApi, Bouncers, recall
from gateway.bouncers import serve_bouncers
from gateway.config import Bouncer as BouncerSettings
from gateway.config import CrowdSecLine

KEY = "0123456789abcdef0123456789abcdef"
NAME = "debian"
PORT = 18284  # in a namespace of its own
TABLES = (("ip", "crowdsec"), ("ip6", "crowdsec6"))


class Follower:
    """Tells lines what the ledger says, batch by batch, as the hub does."""

    def __init__(self, ledger: Ledger) -> None:
        self.receipts: list[Receipts] = []
        self.attached = 0
        self.lines: dict[str, DefenseLine] = {}
        self.cursor = 0
        self._ledger = ledger
        self._changed = asyncio.Event()
        self._moved = asyncio.Condition()
        self._tasks: dict[DefenseLine, asyncio.Task[None]] = {}
        ledger.watch(lambda _: self._changed.set())

    def attach(self, line: DefenseLine) -> None:
        self.attached += 1
        self.lines[line.name] = line
        self._tasks[line] = asyncio.get_running_loop().create_task(self._follow(line))

    def detach(self, line: DefenseLine) -> None:
        if self.lines.get(line.name) is line:
            del self.lines[line.name]
        self._tasks.pop(line).cancel()

    async def told(self, upto: int) -> None:
        """Wait until the line has carried out all up to an entry."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.cursor >= upto)

    async def _follow(self, line: DefenseLine) -> None:
        whom = Whom(line.name, line.capabilities.targets)
        self.cursor = line.cursor or 0
        while True:
            self._changed.clear()
            orders = self._ledger.orders(self.cursor, whom, time.time(), 1000)
            if orders.orders:
                try:
                    self.receipts.append(await line.carry_out(orders))
                except LineUnavailable:
                    return
            async with self._moved:
                self.cursor = orders.upto
                self._moved.notify_all()
            if not orders.orders:
                await self._changed.wait()


class Site:
    """Our end."""

    def __init__(self, ledger: Ledger, follower: Follower, bouncers: Bouncers) -> None:
        self.ledger, self.follower, self.bouncers = ledger, follower, bouncers


@asynccontextmanager
async def site(
    ledger: Ledger, bouncers: Sequence[Bouncer] = (Bouncer(NAME, KEY),), away: float = 60.0, port: int = PORT
) -> AsyncIterator[Site]:
    """Our API on a port, until the block ends."""
    addresses = Addresses()
    ledger.watch(addresses.committed)
    await recall(addresses, ledger, 86_400, time.time(), time.time())
    follower = Follower(ledger)
    known = Bouncers(bouncers, addresses, follower, ledger.posture, away=away)
    settings = CrowdSecLine(port=port, bouncers={NAME: BouncerSettings()})
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(known.run()),
            tasks.create_task(serve_bouncers(BouncerApi(known), settings, None)),
        ]
        await eventually(lambda: accepts(port))
        yield Site(ledger, follower, known)
        for task in running:
            task.cancel()


@asynccontextmanager
async def bouncer(folder: Path, port: int = PORT, every: str = "5ms") -> AsyncIterator[asyncio.subprocess.Process]:
    """Debian's own, unmodified, with a pause of `every` between polls, until the block ends."""
    program = shutil.which("crowdsec-firewall-bouncer", path="/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("needs crowdsec-firewall-bouncer")
    async with debian_bouncer(program, folder, port, KEY, every) as child:
        yield child


class Wire:
    """A proxy of TCP that cuts connections where it is told to."""

    def __init__(self) -> None:
        self.cut_at: int | None = None  # bytes of the next answer that come through before the cut
        self.cuts = 0

    @asynccontextmanager
    async def between(self, port: int, behind: int) -> AsyncIterator[None]:
        """Pass on what comes to a port."""
        async with asyncio.TaskGroup() as tasks:

            async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                theirs, ours = await asyncio.open_connection("127.0.0.1", behind)
                tasks.create_task(self._asked(reader, ours))
                tasks.create_task(self._answered(theirs, writer))

            server = await asyncio.start_server(passed, "127.0.0.1", port)
            yield
            server.close()

    async def _asked(self, reader: asyncio.StreamReader, ours: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                ours.write(data)
        ours.close()

    async def _answered(self, theirs: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await theirs.read(65_536):
                if self.cut_at is not None:
                    writer.write(data[: self.cut_at])
                    await writer.drain()
                    end = writer.get_extra_info("socket")
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN
                    self.cut_at, self.cuts = None, self.cuts + 1
                    break
                writer.write(data)
        writer.close()


async def remove_tables() -> None:
    """As after a restart of the host."""
    for family, table in TABLES:
        child = await asyncio.create_subprocess_exec("nft", "delete", "table", family, table)
        assert await child.wait() == 0


async def enforced() -> set[str]:
    """What is in the bouncer's sets in the kernel."""
    found = set[str]()
    for family, table, name in (
        ("ip", "crowdsec", "crowdsec-blacklists"),
        ("ip6", "crowdsec6", "crowdsec6-blacklists"),
    ):
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *("nft", "-j", "list", "set", family, table, name), stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
        out, _ = await child.communicate()
        for part in json.loads(out or b"{}").get("nftables", ()):
            found |= {_value(element) for element in part.get("set", {}).get("elem", ())}
    return found


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait; the test's own deadline ends this."""
    while not await condition():  # noqa: ASYNC110 - the kernel and a child have no events for us
        await asyncio.sleep(0.005)


async def accepts(port: int) -> bool:
    """Whether somebody listens."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _value(element: object) -> str:
    return str(element["elem"]["val"]) if isinstance(element, dict) else str(element)
