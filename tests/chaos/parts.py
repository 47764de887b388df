"""What runs in each process that is killed: the gateway as `portcullis run gateway` runs it, and agents as
`portcullis line` does. Each is forked from a process that has loaded everything, and confines itself first.
"""

from __future__ import annotations

import asyncio
import gc
import os
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
from defense_lines.agent.journal import Journal
from defense_lines.agent.nftables_line import serve
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
