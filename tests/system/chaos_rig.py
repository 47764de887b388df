"""`portcullis up` with judges and a cache under load, before a service that verifies every request; its processes are
killed, and found again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.machine import command, descendants
from bench.streams.caller import PATH, Caller
from bench.streams.upstream import held_upstream
from bench.system import AUDIENCE, Issuer, Running, open_folder, portcullis
from deploy.demo.ports import free_port
from gateway.config import Config, Edge, GatewayProcesses, Guard, Identity, Policy, Route, Service
from gateway.config import Issuer as Trusted
from tests.gateway.edge_rig import until
from tests.system.verifying_upstream import AUDIENCE as ACCOUNTS
from tests.system.verifying_upstream import CALLER

WORKERS = 3  # the gateway itself, and two judges
_TICKS = os.sysconf("SC_CLK_TCK")
_HONEST = ("person:wrk", "person:ann", "person:ben", "person:probe", "person:watcher")
_BLOCKED = "person:blocked"
_PAUSE = 0.004  # seconds between the requests of one connection: load, but on a machine that others use too
_CONNECTIONS = 8  # of wrk
_WRK_SECONDS = 2  # wrk gives a connection up for good that is refused once: so it begins anew every so often
_SPOKEN = 0.5  # seconds for an answer to whoever looks whether the service is back
RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": []} if input.principal.id != ""
"""
_WRK = f"""
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
function init(arguments) counts = {{}} end
function delay() return {_PAUSE * 1000:.0f} end
function response(status) counts[status] = (counts[status] or 0) + 1 end
function done()
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("counts")) do io.write("status " .. status .. " " .. count .. "\\n") end
  end
end
"""


@dataclass
class Connection:
    """One HTTP/1.1 connection to the edge, opened again when it is lost. Knows what the last answer said."""

    port: int
    caller: str
    token: str
    decision: str = ""
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str) -> int:
        """The status; 0 where there was no answer."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self.port)
            return await self._asked(path, *self._streams)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0

    async def _asked(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        who = f"{CALLER.decode()}: {self.caller}\r\nauthorization: Bearer {self.token}"
        writer.write(f"GET {path} HTTP/1.1\r\nhost: bank\r\n{who}\r\n\r\n".encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        told = dict(line.split(": ", 1) for line in lines[1:] if line)
        await reader.readexactly(int(told["content-length"]))
        self.decision = told.get("x-portcullis-decision", "")
        if told.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1])

    def close(self) -> None:
        """Leave."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Site:
    """What runs, and what became of all requests."""

    running: Running
    folder: Path
    admin: Path
    issuer: Issuer
    upstream_tells: int  # port
    honest: Counter[int] = field(default_factory=Counter)
    forbidden: Counter[int] = field(default_factory=Counter)

    # -- what the gateway and the service say ------------------------------------------------------------------------

    async def told(self, path: str) -> Any:
        """The admin API's answer. Raises aiohttp.ClientError, OSError."""
        async with self._admin() as session, session.get(path) as answer:
            return await answer.json()

    async def block(self, principal: str) -> None:
        """For an hour."""
        order = {"kind": "principal", "value": principal, "ttl": 3600, "reason": "chaos", "by": "test"}
        async with self._admin() as session, session.post("/v1/blocks", json=order) as answer:
            assert (await answer.json())["outcome"] == "accepted", await answer.text()

    def _admin(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession("http://portcullis", connector=aiohttp.UnixConnector(str(self.admin)))

    async def judges(self) -> dict[str, int]:
        """Those that answer: numbers and processes; none while the gateway is away."""
        try:
            return dict((await self.told("/readyz"))["judges"])
        except (aiohttp.ClientError, OSError):
            return {}

    async def found(self) -> Counter[str]:
        """The service's verdicts on all requests so far."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream_tells)
        try:
            return Counter(json.loads(await reader.read()))
        finally:
            writer.close()

    # -- who asks ----------------------------------------------------------------------------------------------------

    def caller(self, principal: str, **claims: Any) -> Connection:
        """Somebody with a token of the issuer's."""
        return Connection(self.running.port, principal, self.issuer.token(principal, **claims))

    def strangers(self) -> list[Connection]:
        """Nobody of whom may ever be let in: one is blocked, one has a forged token, one an old one."""
        forger = Issuer()
        forger.url = self.issuer.url
        forged = Connection(self.running.port, "person:ann", forger.token("person:ann"))
        return [self.caller(_BLOCKED), forged, self.caller("person:ann", exp=int(time.time()) - 3600)]

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Until the block ends: wrk and a few callers who may, and those who may not."""
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(self._wrk())]
            for caller in (self.caller("person:ann"), self.caller("person:ben")):
                asking.append(tasks.create_task(_keep_asking(caller, self.honest)))
            asking += [tasks.create_task(_keep_asking(caller, self.forbidden)) for caller in self.strangers()]
            await until(lambda: self.honest[200] > 100, "it is in use")
            yield
            for task in asking:
                task.cancel()

    async def _wrk(self) -> None:
        script = self.folder / "statuses.lua"
        script.write_text(_WRK)
        who = self.caller("person:wrk")
        named = ("-H", f"authorization: Bearer {who.token}", "-H", f"{CALLER.decode()}: {who.caller}")
        size = ("-t1", f"-c{_CONNECTIONS}", f"-d{_WRK_SECONDS}s", "-s", str(script))
        while True:
            url = f"http://127.0.0.1:{self.running.port}/accounts/wrk"
            child = await asyncio.create_subprocess_exec("wrk", *size, *named, url, stdout=asyncio.subprocess.PIPE)
            try:
                await child.wait()
            finally:
                if child.returncode is None:
                    child.send_signal(signal.SIGINT)  # it tells what it has until then
                assert child.stdout is not None
                rows = [line.split() for line in (await child.stdout.read()).decode().splitlines()]
                self.honest.update({int(row[1]): int(row[2]) for row in rows if row[:1] == ["status"]})
                await child.wait()
            await asyncio.sleep(0.05 if child.returncode else 0)  # there was no edge to connect to

    async def streams(self, count: int) -> Caller:
        """A caller with so many live streams."""
        caller = await Caller.connect(self.running.port, "person:watcher", self.issuer.token("person:watcher"))
        await caller.open(count)
        return caller

    # -- what is killed ----------------------------------------------------------------------------------------------

    async def process(self, kind: str) -> int:
        """Of the edge, the gateway, or a judge that answers; 0 where there is none."""
        if kind == "judge":
            return (await self.judges()).get("1", 0)
        mark, place = {"edge": ("/envoy ", 0), "gateway": (" run gateway", 1)}[kind]  # the first is who forks gateways
        found = [pid for pid in descendants(self.running.pid) if mark in command(pid)]
        return found[place] if len(found) > place else 0

    async def killed(self, kind: str) -> Recovery:
        """SIGKILL, and wait until another is there and somebody who may is let in by an answer that is new."""
        old, new, probe = 0, 0, self.caller("person:probe")

        async def there() -> bool:
            nonlocal old
            old = await self.process(kind)
            return old != 0

        await until(there, f"there is a {kind} to kill")
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        os.kill(old, signal.SIGKILL)

        async def served() -> bool:
            nonlocal new  # a judge may outlive its gateway by a moment, and answers in it
            new = new or await self.process(kind)
            new = 0 if new == old else new
            return new != 0 and await self._asked_anew(probe) == 200

        await until(served, f"the service is back after the {kind}")
        back = time.clock_gettime(time.CLOCK_BOOTTIME)
        probe.close()
        return Recovery(kind, back - began, back - started(new), started(new))

    async def _asked_anew(self, probe: Connection) -> int:
        """A question that was never asked before: no answer to it is known."""
        try:
            async with asyncio.timeout(_SPOKEN):
                status = await probe.ask(f"/accounts/{time.monotonic_ns()}")
        except TimeoutError:
            probe.close()
            return 0
        self.honest[status] += 1
        return status


@dataclass(frozen=True)
class Recovery:
    """In seconds: from the kill, and from the new process's start, until a new question was answered with 200."""

    kind: str
    since_kill: float
    since_start: float
    started: float  # of CLOCK_BOOTTIME


def started(pid: int) -> float:
    """When a process was made, in seconds of CLOCK_BOOTTIME, to the hundredth (proc(5))."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) / _TICKS


async def _keep_asking(caller: Connection, told: Counter[int]) -> None:
    try:
        while True:
            told[await caller.ask("/accounts/1")] += 1
            await asyncio.sleep(_PAUSE)
    finally:
        caller.close()


@asynccontextmanager
async def site(cache_seconds: float = 5.0) -> AsyncIterator[Site]:
    """All of it, once every judge answers and `person:blocked` is blocked."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_folder("chaos"))
        (folder / "bank.rego").write_text(RULES)
        issuer, port = Issuer(), free_port()
        url = await stack.enter_async_context(issuer.serve())
        accounts, tells = await stack.enter_async_context(_verifying(port))
        ledger = await stack.enter_async_context(held_upstream())
        edge = Edge(port=port, concurrency=2, cache_seconds=cache_seconds, drain_seconds=0)
        config = _configuration(folder, edge, url, accounts, ledger)
        running = await stack.enter_async_context(portcullis(config, folder))
        here = Site(running, folder, config.state / "run" / "admin.sock", issuer, tells)

        async def all_judge() -> bool:
            return len(await here.judges()) == WORKERS - 1

        await until(all_judge, "all judges answer")
        await here.block(_BLOCKED)
        yield here


def _configuration(folder: Path, edge: Edge, issuer: str, accounts: int, ledger: int) -> Config:
    return Config(
        state=folder / "state",
        edge=edge,
        gateway=GatewayProcesses(workers=WORKERS),
        services={
            ACCOUNTS: Service(address="127.0.0.1", port=accounts),
            "ledger": Service(address="127.0.0.1", port=ledger, protocol="grpc"),
        },
        routes=(
            Route(prefix="/accounts", service=ACCOUNTS),
            Route(prefix=PATH.rpartition("/")[0], service="ledger", stream=True),
        ),
        identity=Identity(issuers=(Trusted(issuer=issuer, jwks_url=f"{issuer}/jwks", audience=AUDIENCE),)),
        policy=Policy(paths=(folder / "bank.rego",)),
        guard=Guard(never_block_principals=_HONEST),  # load is an attack by any measure: this is about deaths
    )


@asynccontextmanager
async def _verifying(edge: int) -> AsyncIterator[tuple[int, int]]:
    jwks = f"http://127.0.0.1:{edge}/.well-known/portcullis/jwks.json"
    words = (sys.executable, "-m", "tests.system.verifying_upstream", jwks)
    child = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout is not None
        service, tells = map(int, (await child.stdout.readline()).split())
        yield service, tells
    finally:
        child.kill()
        await child.wait()
