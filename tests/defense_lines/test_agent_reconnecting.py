"""An agent comes back to its gateway whenever the connection is lost, during the handshake too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from defense_lines.agent.actuation import Memory
from defense_lines.agent.agent import Agent
from defense_lines.agent.connecting import over_unix
from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Enforcer
from defense_lines.agent.journal import Journal

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
    agent = Agent(Enforcer(journal, told, Memory()), Disk())
    async with await asyncio.start_unix_server(die, tmp_path / "lines.sock"), asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(agent.serve(over_unix(tmp_path / "lines.sock")))
        async with asyncio.timeout(DEADLINE):
            for _ in range(3):
                await asked.acquire()
        serving.cancel()
