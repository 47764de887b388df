"""Hundreds of agents in one process, as they are: protocol, checks and journal; what they enforce is in memory.

`python -m bench.pushing.agents URL CERTIFICATES JOURNALS FIRST COUNT`, until it is ended.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import structlog
import uvloop

from bench.pushing.authority import of
from defense_lines.agent.actuation import Memory
from defense_lines.agent.agent import Agent
from defense_lines.agent.connecting import over_tls, proving
from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Enforcer
from defense_lines.agent.journal import Journal

_APART = 0.003  # seconds from one agent's start to the next's: a gateway greets some hundreds a second


def name(number: int) -> str:
    """Of an agent."""
    return f"agent-{number:05d}"


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
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))  # type: ignore[arg-type]
