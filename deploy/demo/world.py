"""The world of the demo: every part started in order, and every one of them gone at the end."""

from __future__ import annotations

import asyncio
import ctypes.util
import secrets
import shutil
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from defense_lines.agent.openc2_seal import enrol
from defense_lines.lines.openc2_enrolment import signing_key
from deploy.demo import broker, cast, children, issuer
from deploy.demo.admin import Admin
from deploy.demo.caller import Caller, Stream
from deploy.demo.cast import ROOT
from deploy.demo.children import Child
from deploy.demo.configuration import Run
from deploy.demo.readiness import accepts, ready
from deploy.demo.sandbox import Network
from deploy.demo.sensors import BranchSensor
from deploy.demo.tokens import Tokens
from deploy.demo.watcher import Watcher

HOSTS = ("attacker", "agents", "branch", "scanner", "guest")
OPENC2_TABLE = "portcullis_oc2"
Say = Callable[[str], None]


@dataclass
class World:
    """What the steps act on. `facts` and `streams` carry what one step leaves for the next."""

    run: Run
    network: Network
    admin: Admin
    tokens: Tokens
    sensor: BranchSensor
    supervisor: Child
    trust: ssl.SSLContext
    lines: tuple[str, ...]
    unavailable: list[str]
    streams: dict[str, Stream] = field(default_factory=dict)
    watches: dict[str, Watcher] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    failed: bool = False  # something did not hold: the logs are kept
    _callers: list[Caller] = field(default_factory=list)

    @property
    def edge(self) -> str:
        """`host:port` of the edge."""
        return f"{self.network.edge_address}:{self.run.ports.edge}"

    def caller(self, host: str, token: str = "", address: str = "") -> Caller:
        """Somebody who calls from a host, closed with the world."""
        made = Caller(f"https://{self.edge}", self.trust, self.network.hosts[host], token, address)
        self._callers.append(made)
        return made

    async def person(self, name: str, acr: str = "pwd", host: str = "branch") -> Caller:
        """A person with a fresh token."""
        return self.caller(host, await self.tokens.person(name, acr))

    async def agent(self, name: str, host: str, address: str = "") -> Caller:
        """An agent with a fresh token, acting for its person."""
        return self.caller(host, await self.tokens.agent(name), address)

    def workload(self) -> Caller:
        """The batch workload, by its certificate alone."""
        shown = self.run.certificates
        trust = ssl.create_default_context(cafile=str(shown.authority))
        trust.load_cert_chain(shown.workload, shown.workload_key)
        made = Caller(f"https://{self.edge}", trust, self.network.hosts["branch"])
        self._callers.append(made)
        return made

    async def watch(self, name: str, account: str, host: str) -> Watcher:
        """An agent's gRPC watch from a host, ended with the world."""
        opened = self.network.hosts[host]
        token = await self.tokens.agent(name)
        authority = self.run.certificates.authority
        watcher = await Watcher.start(opened, self.edge, authority, account, token, self.run.folder / "logs")
        self.watches[name] = watcher
        return watcher

    async def leave(self) -> None:
        """Close what the steps opened."""
        opened: list[Stream | Watcher | Caller] = [*self.streams.values(), *self.watches.values(), *self._callers]
        for each in opened:
            await each.close()


@asynccontextmanager
async def world(missing: str, say: Say, blocks_per_minute: int = 60) -> AsyncIterator[World]:
    """Start every part. `missing`: why there is no sandbox, empty if we are in one.

    Raises ChildDied or TimeoutError when a part does not start.
    """
    children.adopt_orphans()
    async with AsyncExitStack() as stack:
        stack.callback(children.end_descendants)
        network = Network(HOSTS, isolated=not missing)
        stack.callback(network.close)
        run = Run.make(network)
        say(f"run folder {run.folder.relative_to(ROOT) if run.folder.is_relative_to(ROOT) else run.folder}")
        secret = secrets.token_urlsafe(24)
        unavailable, lines = _missing_parts(missing)
        started = await _start_parts(run, secret, lines, stack)
        run.write(network, lines, blocks_per_minute)
        for child, port in started:
            await accepts(port, child)
        built = await _start_portcullis(run, network, secret, lines, unavailable, stack)
        say("Portcullis is up: " + ", ".join(built.lines))
        stack.push_async_callback(built.leave)
        yield built
        built.supervisor.check()
    if built.failed:
        say(f"its logs stay in {run.folder / 'logs'}")
    else:
        shutil.rmtree(run.folder, ignore_errors=True)


async def _start_parts(run: Run, secret: str, lines: Sequence[str], stack: AsyncExitStack) -> list[tuple[Child, int]]:
    logs, ports = run.folder / "logs", run.ports

    async def start(name: str, *command: str, env: dict[str, str] | None = None) -> Child:
        child = await Child.start(name, sys.executable, "-m", *command, folder=logs, env=env)
        stack.push_async_callback(child.stop)
        return child

    served = ("--http", str(ports.http), "--grpc", str(ports.grpc), "--jwks", str(run.jwks))
    bank = await start("bank", "deploy.demo.bank", *served)
    vouching = await start("issuer", "deploy.demo.issuer", "--port", str(ports.issuer), env={issuer.SECRET: secret})
    messages = await broker.start(ports.broker, logs)
    stack.push_async_callback(messages.stop)
    if "openc2" in lines:
        await accepts(ports.broker, messages)
        run.enrolment.write_bytes(msgspec.json.encode(enrol(signing_key(run.openc2_key), "openc2")))
        where = ("--port", str(ports.broker), "--table", OPENC2_TABLE, "--enrolment", str(run.enrolment))
        await start("openc2-consumer", "defense_lines.agent.openc2_consumer", *where)
    return [(bank, ports.http), (bank, ports.grpc), (vouching, ports.issuer), (messages, ports.broker)]


async def _start_portcullis(
    run: Run, network: Network, secret: str, lines: tuple[str, ...], unavailable: list[str], stack: AsyncExitStack
) -> World:
    command = (sys.executable, "-m", "console.cli", "up", "-c", str(run.file))
    supervisor = await Child.start("portcullis", *command, folder=run.folder / "logs")
    stack.push_async_callback(supervisor.stop)
    admin = Admin(run.state / "run" / "admin.sock")
    stack.push_async_callback(admin.close)
    await ready(admin, supervisor, lines)
    for profile in cast.profiles(time.time()):
        await admin.register(profile, "demo")
    await accepts(run.ports.edge, supervisor, address=network.edge_address)
    return World(
        run=run,
        network=network,
        admin=admin,
        tokens=Tokens(run.issuer_url, secret),
        sensor=BranchSensor(run.folder / "eve.json", seed=7),
        supervisor=supervisor,
        trust=ssl.create_default_context(cafile=str(run.certificates.authority)),
        lines=lines,
        unavailable=unavailable,
    )


def _missing_parts(no_sandbox: str) -> tuple[list[str], tuple[str, ...]]:
    """What this run does without, each said plainly, and the lines that it has."""
    missing = []
    if no_sandbox:
        missing.append(f"sandbox: {no_sandbox}; callers use loopback addresses, and packets are not filtered")
    lines = ["edge"]
    if no_sandbox:
        missing.append("lines nftables and openc2: without a sandbox they would filter this machine's own packets")
    elif ctypes.util.find_library("nftables") is None:
        missing.append("lines nftables and openc2: libnftables is not installed")
    else:
        lines.append("nftables")
    if not broker.has_mosquitto():
        missing.append("mosquitto: not installed, amqtt is the broker")
    if "nftables" in lines:
        if broker.has_mosquitto():
            lines.append("openc2")
        else:
            missing.append("line openc2: it speaks MQTT 5, amqtt does not")
    return missing, tuple(lines)


async def drive(play: Callable[[World], Any], missing: str, say: Say, blocks_per_minute: int = 60) -> Any:
    """Run `play` in a world; SIGINT and SIGTERM end it in good order."""
    import signal

    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with world(missing, say, blocks_per_minute) as built:
        return await play(built)
