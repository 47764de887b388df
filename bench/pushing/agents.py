"""Hundreds of agents in one process, as they are: protocol, checks and journal; what they enforce is in memory.

`python -m bench.pushing.agents URL CERTIFICATES JOURNALS FIRST COUNT`, until it is ended.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import uvloop

from bench.pushing.authority import Authority, of
from bench.pushing.crowd import Crowd, crowd
from bench.pushing.site import Site, site
from defense_lines.agent.actuation import Memory
from defense_lines.agent.agent import Agent
from defense_lines.agent.connecting import over_tls, proving
from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Enforcer
from defense_lines.agent.journal import Journal
from deploy.demo.ports import free_port
from gateway.config import Agents, Lines, MutualTls, NftablesLine

_APART = 0.005  # seconds from one agent's start to the next's: a gateway greets some hundreds a second


def name(number: int) -> str:
    """Of an agent."""
    return f"agent-{number:05d}"


@asynccontextmanager
async def agents(folder: Path, journals: Path, count: int, processes: int) -> AsyncIterator[tuple[Site, Crowd]]:
    """A gateway, so many agents and this host's own, once all are connected. Raises CannotRun."""
    names = [name(number) for number in range(count)]
    authority, port = Authority(folder / "certificates"), free_port()
    for each in names:
        authority.line(each)
    certificate, key = authority.gateway
    tls = MutualTls(certificate=certificate, key=key, client_ca=authority.certificate, clients=tuple(names))
    lines = Lines(agents=Agents(port=port, tls=tls), nftables=NftablesLine())
    whose = (f"wss://127.0.0.1:{port}", str(authority.folder), str(journals))
    async with (
        site(folder / "site", lines) as ours,
        crowd(ours.admin, "bench.pushing.agents", whose, names, processes) as connected,
    ):
        yield ours, connected


def main(url: str, certificates: str, journals: str, first: int, count: int) -> None:
    """Run them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    gc.set_threshold(50_000, 20, 20)  # as the gateway has it
    uvloop.run(_run(url, Path(certificates), Path(journals), range(first, first + count)))


async def _run(url: str, certificates: Path, journals: Path, numbers: range) -> None:
    disk = Disk()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(disk.run())
        for number in numbers:
            trust = proving(*of(certificates, name(number)), certificates / "authority.pem")
            enforcer = Enforcer(*Journal.open(journals / name(number)), Memory())
            tasks.create_task(Agent(enforcer, disk).serve(over_tls(url, trust)))
            await asyncio.sleep(_APART)
        gc.collect()
        gc.freeze()


if __name__ == "__main__":
    _, url, certificates, journals, first, count = sys.argv
    main(url, certificates, journals, int(first), int(count))
