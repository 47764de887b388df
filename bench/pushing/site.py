"""Portcullis as it runs here: everything as by default, and lines in great number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import cpu_seconds
from bench.pushing.admin import Admin, admin
from bench.streams.running import Parts
from bench.system import portcullis, until_idle
from deploy.demo.ports import free_port
from gateway.config import Config, Edge, Guard, Lines, Route, Service


@dataclass(frozen=True)
class Site:
    """What runs."""

    admin: Admin
    socket: Path  # of the operators
    gateway: int  # pid

    @property
    def cpu_seconds(self) -> float:
        """The gateway's, so far."""
        return cpu_seconds(self.gateway)


@asynccontextmanager
async def site(folder: Path, lines: Lines) -> AsyncIterator[Site]:
    """`portcullis up` in a folder of its own, with these lines. Raises CannotRun."""
    config = _configuration(folder, lines)
    socket = config.state / "run" / "admin.sock"
    async with portcullis(config, folder) as running, admin(socket) as operator:
        await until_idle(running)
        yield Site(operator, socket, Parts.of(running).pids["gateway"])


def _configuration(folder: Path, lines: Lines) -> Config:
    folder.mkdir(mode=0o755)
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), concurrency=1),
        services={"none": Service(address="127.0.0.1", port=free_port())},
        routes=(Route(prefix="/", service="none"),),
        guard=Guard(blocks_per_minute=1_000_000),
        lines=lines,
    )
