"""A full disk under a running gateway: nothing is acknowledged that is not kept, what stands goes on standing, and
room is all that it takes to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0  # seconds to start, to fill the disk, or to answer
SLACK = 16 * 1024  # bytes that a file may grow by before the disk counts as full
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Gateway:
    """A gateway in a process of its own, without an edge."""

    def __init__(self, process: asyncio.subprocess.Process, state: Path) -> None:
        self.process = process
        self.state = state

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Status and content of the admin API's answer."""
        connector = aiohttp.UnixConnector(str(self.state / "run" / "admin.sock"))
        timeout = aiohttp.ClientTimeout(DEADLINE)
        async with (
            aiohttp.ClientSession("http://portcullis", connector=connector, timeout=timeout) as session,
            session.request(method, path, **more) as answer,
        ):
            return answer.status, await answer.json()

    async def block(self, name: str) -> tuple[int, Any]:
        order = {"kind": "principal", "value": name, "ttl": 3600, "reason": "why " * 200}
        return await self.ask("POST", "/v1/blocks", json=order)

    async def blocked(self) -> set[str]:
        """Whom an acknowledged block stands against."""
        status, blocks = await self.ask("GET", "/v1/blocks")
        assert status == 200
        return {block["value"] for block in blocks}

    def fill(self) -> None:
        """From now on no file of the ledger's grows by much: ENOSPC's twin, EFBIG (RLIMIT_FSIZE)."""
        sizes = [0]
        for file in (self.state / "ledger").iterdir():
            with suppress(FileNotFoundError):  # a head that has just taken its predecessor's place
                sizes.append(file.stat().st_size)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (max(sizes) + SLACK, resource.RLIM_INFINITY))

    def free(self) -> None:
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, UNLIMITED)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Gateway]:
    """One that answers; ended with the block."""
    config = {
        "state": str(folder / "state"),
        "services": {"accounts": {"address": "127.0.0.1", "port": 9}},
        "routes": [{"prefix": "/", "service": "accounts"}],
        "guard": {"blocks_per_minute": 100_000},
    }
    (folder / "portcullis.yaml").write_text(json.dumps(config))
    (folder / "state" / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "console.cli", "run", "gateway", "-c", str(folder / "portcullis.yaml")]
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log)
    gateway = Gateway(process, folder / "state")
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                assert process.returncode is None, (folder / "log").read_text()[-2000:]
                with suppress(OSError, aiohttp.ClientError):
                    await gateway.ask("GET", "/healthz")
                    break
                await asyncio.sleep(0.05)  # it can only be asked
        yield gateway
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@pytest.mark.system
async def test_a_full_disk_acknowledges_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    """Blocks are asked for until the disk is full, and beyond."""
    async with running(tmp_path) as gateway:
        assert (await gateway.block("person:before"))[0] == 200
        gateway.fill()
        acknowledged, refused = {"person:before"}, []
        async with asyncio.timeout(DEADLINE):
            for number in range(1000):
                status, told = await gateway.block(f"person:{number}")
                if status == 200:
                    assert told["outcome"] == "accepted"
                    acknowledged.add(f"person:{number}")
                else:
                    refused.append((status, told))
                if len(refused) == 5:
                    break
        assert [(status >= 500, told["fault"]) for status, told in refused] == [(True, "ours")] * 5
        assert await gateway.blocked() >= acknowledged
        assert (await gateway.ask("GET", "/v1/status"))[0] == 200
        assert gateway.process.returncode is None

        gateway.free()
        assert (await gateway.block("person:after"))[0] == 200
        acknowledged.add("person:after")
        assert await gateway.blocked() >= acknowledged

    async with running(tmp_path) as gateway:
        assert await gateway.blocked() >= acknowledged


@pytest.mark.system
async def test_a_disk_that_is_full_when_the_gateway_is_killed(tmp_path: Path) -> None:
    """Killed in the middle of it: what was acknowledged stands after the next start, on a history that verifies."""
    async with running(tmp_path) as gateway:
        assert (await gateway.block("person:before"))[0] == 200
        gateway.fill()
        acknowledged = {"person:before"}
        async with asyncio.timeout(DEADLINE):
            for number in range(1000):
                status, _ = await gateway.block(f"person:{number}")
                if status != 200:
                    break
                acknowledged.add(f"person:{number}")
        waiting = [asyncio.create_task(gateway.block(f"person:late-{number}")) for number in range(4)]
        gateway.process.kill()
        await asyncio.gather(*waiting, return_exceptions=True)

    async with running(tmp_path) as gateway:
        assert await gateway.blocked() >= acknowledged
        assert (await gateway.block("person:after"))[0] == 200
