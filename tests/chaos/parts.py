"""What runs in each process that is killed: the gateway as `portcullis run gateway` runs it, agents as
`portcullis line` does, OpenC2 consumers, and Mosquitto. Each is forked from a process that has loaded everything.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import uvloop

from console.admin_server import serving
from defense_lines.agent.agent import Agent
from defense_lines.agent.capabilities import Capability, confine
from defense_lines.agent.connecting import over_tls, proving
from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Enforcer
from defense_lines.agent.firewall import Firewall
from defense_lines.agent.journal import Journal
from defense_lines.agent.nftables_line import serve
from defense_lines.agent.openc2_consumer import consume
from defense_lines.agent.openc2_mqtt import Broker
from defense_lines.agent.openc2_seal import read_enrolment
from defense_lines.agent.parentage import die_with
from gateway.app import Gateway
from gateway.config import Config, Policy
from gateway.operations import GatewayOperations
from gateway.policies import Rules
from telemetry import plain_logs
from tests.chaos.shelf import Shelf
from tests.chaos.wire import enter

RULES = Rules.ahead(Policy())  # before the fork: compiling takes longer than anything else that a start does
gc.freeze()


class Line(NamedTuple):
    """An agent's own settings."""

    name: str
    namespace: str
    gateway: str  # wss://HOST:PORT
    proof: tuple[Path, Path, Path]  # certificate, key, authority
    state: Path
    table: str  # of its kernel; "" for one with a shelf
    clock_error: float  # seconds by which its host's clock is wrong

    @property
    def shelf(self) -> Path:
        """Where it enforces, without a kernel."""
        return self.state / "shelf"


class Consumer(NamedTuple):
    """An OpenC2 consumer's own settings."""

    name: str
    namespace: str
    host: str  # of the broker
    port: int
    enrolment: Path
    table: str


# As contracts.md has it: whatever the broker acknowledged is on its disk within a second, and no queue is bounded.
_MOSQUITTO = """
listener {port} 0.0.0.0
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
user root
"""


def run_gateway(config: Config, namespace: str, words: Path) -> None:
    """The gateway process, until killed; `words` takes what it says."""
    _begin(namespace, words)
    confine(frozenset())
    uvloop.run(_gateway(config))


def run_line(line: Line, words: Path) -> None:
    """The agent's process, until killed."""
    _begin(line.namespace, words)
    confine(frozenset({Capability.NET_ADMIN}))
    uvloop.run(_kernel(line) if line.table else _shelf(line))


def run_consumer(consumer: Consumer, words: Path) -> None:
    """The consumer's process, until killed."""
    _begin(consumer.namespace, words)
    confine(frozenset({Capability.NET_ADMIN}))
    firewall = Firewall(consumer.table, ("saddr", "daddr"))
    broker = Broker(consumer.host, consumer.port)
    uvloop.run(consume(broker, read_enrolment(consumer.enrolment), firewall, asyncio.Event()))


def run_broker(folder: Path, port: int, namespace: str) -> None:
    """Mosquitto, until killed."""
    _begin(namespace, folder / "broker.log")
    settings = folder / "mosquitto.conf"
    settings.write_text(_MOSQUITTO.format(port=port, folder=folder))
    os.execv(tool("mosquitto") or "mosquitto", ["mosquitto", "-c", str(settings)])


def tool(name: str) -> str | None:
    """Where a program is, if it is anywhere."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _begin(namespace: str, words: Path) -> None:
    die_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness ends its children
    file = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(file, standard)
    enter(namespace)
    plain_logs()


async def _gateway(config: Config) -> None:
    socket = config.state / "run" / "admin.sock"
    async with Gateway.open(config, RULES) as gateway, serving(GatewayOperations(gateway), socket, None):
        await asyncio.Event().wait()


async def _kernel(line: Line) -> None:
    await serve(over_tls(line.gateway, proving(*line.proof)), line.state, line.table, asyncio.Event())


async def _shelf(line: Line) -> None:
    journal, told = Journal.open(line.state / "orders.journal")
    disk = Disk()
    agent = Agent(Enforcer(journal, told, Shelf(line.shelf), _wrong(line.clock_error)), disk)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(disk.run())
        tasks.create_task(agent.serve(over_tls(line.gateway, proving(*line.proof))))


def _wrong(seconds: float) -> Callable[[], float]:
    return lambda: time.time() + seconds
