"""The decision API for tests: served on a Unix socket, asked by a real client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from gateway.blocklist import Blocklist
from gateway.config import Decisions, LocalSocket
from gateway.decisions import run_decisions
from gateway.sessions import Sessions
from policy import AccessRequest, Decision, Pdp

READY_SECONDS = 10.0


@dataclass
class Desk:
    """Where questions are put. `seen` is what the gateway saw decided."""

    socket: Path
    pdp: Pdp
    blocklist: Blocklist
    seen: list[tuple[AccessRequest, Decision]] = field(default_factory=list)

    async def ask(self, method: str, path: str, **how: Any) -> aiohttp.ClientResponse:
        """The answer, read."""
        connector = aiohttp.UnixConnector(str(self.socket))
        async with (
            aiohttp.ClientSession("http://decisions", connector=connector) as session,
            session.request(method, path, **how) as answer,
        ):
            await answer.read()
            return answer

    async def evaluate(self, asked: Any, path: str = "/access/v1/evaluation") -> Any:
        """What AuthZEN answers."""
        answer = await self.ask("POST", path, json=asked)
        assert answer.status == 200, await answer.text()
        return await answer.json()


@contextlib.asynccontextmanager
async def desk(pdp: Pdp, folder: Path, *, strict: bool = False, **settings: Any) -> AsyncIterator[Desk]:
    """Serve on a Unix socket, and where else the settings say."""
    blocklist = Blocklist(Sessions())
    unix = settings.pop("unix", LocalSocket(path=folder / "decisions.sock"))
    made, branch = Desk(unix.path, pdp, blocklist), Decisions(unix=unix, **settings)

    def witness(request: AccessRequest, decision: Decision) -> None:
        made.seen.append((request, decision))

    serving = asyncio.create_task(run_decisions(branch, pdp, strict, blocklist, witness, folder))
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await _answers(made, branch):
                if serving.done():
                    await serving
                await asyncio.sleep(0.005)
        yield made
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _answers(made: Desk, branch: Decisions) -> bool:
    try:
        if branch.tcp is not None:
            _, writer = await asyncio.open_connection(branch.tcp.address, branch.tcp.port)
            writer.close()
        return (await made.ask("GET", "/health")).status == 200
    except (OSError, aiohttp.ClientError):
        return False
