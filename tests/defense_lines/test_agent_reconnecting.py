"""An agent comes back to its gateway whenever the connection is lost, during the handshake too. What the old connection
was asked has no part in the new one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from defense_lines.agent.actuation import Listing, Memory
from defense_lines.agent.agent import Agent
from defense_lines.agent.connecting import over_unix
from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Enforcer
from defense_lines.agent.journal import Journal
from defense_lines.line import Digest, LineUnavailable
from tests.defense_lines.agent_rig import Gateway, agent, batch, block

DEADLINE = 20.0  # seconds; a bound for a busy machine, not an expectation


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 101 Switching"])
async def test_a_gateway_that_dies_in_the_handshake_is_asked_again(tmp_path: Path, said: bytes) -> None:
    asked = asyncio.Semaphore(0)

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()
        asked.release()

    journal, told = Journal.open(tmp_path / "orders.journal")
    one = Agent(Enforcer(journal, told, Memory()), Disk())
    async with await asyncio.start_unix_server(die, tmp_path / "lines.sock"), asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(one.serve(over_unix(tmp_path / "lines.sock")))
        async with asyncio.timeout(DEADLINE):
            for _ in range(3):
                await asked.acquire()
        serving.cancel()


class Holding(Memory):
    """Lists what it blocks as of when it was asked, once it is let."""

    waits = True

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()
        self.go.set()

    def listing(self) -> Listing:
        ends = dict(self.ends)
        self.asked.set()
        self.go.wait(DEADLINE)
        return Listing(ends)


async def test_a_lost_connections_question_lifts_nothing_once_the_agent_began_anew(tmp_path: Path) -> None:
    firewall, path = Holding(), tmp_path / "lines.sock"
    async with agent(tmp_path, over_unix(path), firewall) as serving:
        async with Gateway(path, last=5).listening() as gateway:
            line = await gateway.attached.get()
            await line.carry_out(batch(0, [block(number) for number in range(1, 6)]))
            firewall.asked.clear()
            firewall.go.clear()
            asking = asyncio.create_task(line.active(Digest(), time.time()))
            await asyncio.to_thread(firewall.asked.wait, DEADLINE)
        with pytest.raises(LineUnavailable):
            await asking
        async with Gateway(path, last=3).listening() as gateway:  # its ledger is from an older backup
            line = await gateway.attached.get()
            assert line.cursor == 0
            firewall.go.set()
            await serving.check()  # after the old one
            assert len(firewall.ends) == 5
            await line.carry_out(batch(0, [block(number) for number in range(1, 4)]))
            assert await line.active(Digest.of(block(number).id for number in range(1, 4)), time.time()) is None
            assert len(firewall.ends) == 3
