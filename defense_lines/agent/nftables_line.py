"""The nftables line's own process: it holds CAP_NET_ADMIN alone, and carries out a gateway's orders on its host."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from defense_lines.agent.agent import Agent, Connect
from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Enforcer
from defense_lines.agent.journal import Journal
from defense_lines.agent.kernel import Kernel


class StateInUse(Exception):
    """Another agent has this state folder; the message is fit for people."""


async def serve(connect: Connect, state: Path, table: str, stop: asyncio.Event, instead: str = "") -> None:
    """Carry out the gateway's orders until `stop`; the table goes on standing. The journal is in the folder `state`.

    Raises NftablesUnavailable, CapabilityError or NftError if the table cannot stand, StateInUse, OSError.
    """
    with _alone(state):
        journal, told = await asyncio.to_thread(Journal.open, state / "orders.journal")
        enforcer = await asyncio.to_thread(Enforcer, journal, told, Kernel(table))
        disk = Disk()
        agent = Agent(enforcer, disk, instead)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(disk.run()), tasks.create_task(agent.serve(connect))]
            await stop.wait()
            for task in running:
                task.cancel()


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StateInUse(f"another agent runs with {state}") from None
    try:
        yield
    finally:
        os.close(lock)
