"""The gateway or the edge killed while streams live: all end, nobody comes back unjudged, and no ghost is left."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bench.result import CannotRun
from bench.streams.caller import Caller
from bench.streams.crowd import EACH, Crowd, crowd
from bench.streams.running import Parts, configuration
from bench.streams.upstream import held_upstream
from bench.system import Issuer, Running, open_folder, portcullis
from tests.gateway.edge_rig import until

STREAMS = 10_000 if os.environ.get("PORTCULLIS_PROVE") == "1" else 100
DEADLINE = 60.0  # seconds; a bound for a busy machine, not an expectation
FAIL_CLOSED = 5.0  # seconds within which all have ended
NO_GHOSTS = 1.0  # seconds


@dataclass(frozen=True)
class Site:
    """`portcullis up` before a service whose calls live until somebody ends them."""

    running: Running
    admin: Path
    tokens: dict[str, str]  # by principal

    async def sessions(self) -> int:
        """How many the gateway has."""
        connector = aiohttp.UnixConnector(str(self.admin))
        async with (
            aiohttp.ClientSession("http://portcullis", connector=connector) as session,
            session.get("/v1/status") as answer,
        ):
            return int((await answer.json())["sessions"])

    async def empty(self) -> bool:
        """Whether it has none."""
        return await self.sessions() == 0

    async def back(self, caller: Caller) -> Caller:
        """The same caller on a new connection, with one live stream, as soon as it is let in."""
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    again = await Caller.connect(self.running.port, caller.principal, self.tokens[caller.principal])
                    await again.open(1)
                except (OSError, CannotRun):
                    await asyncio.sleep(0.05)
                else:
                    return again


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_folder("deaths"))
        issuer = Issuer()
        url = await stack.enter_async_context(issuer.serve())
        behind = await stack.enter_async_context(held_upstream())
        names = [f"person:caller-{number}" for number in range(STREAMS // EACH)]
        config = configuration(folder, behind, url, names)
        running = await stack.enter_async_context(portcullis(config, folder))
        tokens = {name: issuer.token(name, scope="ledger:read") for name in names}
        yield Site(running, config.state / "run" / "admin.sock", tokens)


async def _killed(site: Site, part: str, people: Crowd) -> float:
    """SIGKILL. Seconds until the last stream has ended at its caller."""
    began = time.monotonic()
    os.kill(Parts.of(site.running).pids[part], signal.SIGKILL)
    return await people.ended() - began


@pytest.mark.system
@pytest.mark.prove
async def test_a_gateway_that_is_killed_takes_all_streams_and_judges_who_comes_back() -> None:
    async with site() as here, crowd(here.running.port, here.tokens) as people:
        assert people.live == await here.sessions() == STREAMS
        assert await _killed(here, "gateway", people) < FAIL_CLOSED
        first = people.callers[0]
        stranger = await Caller.connect(here.running.port, "person:stranger", "")
        with pytest.raises(CannotRun, match="refused"):  # while there is no gateway, and when there is one again
            await stranger.open(1)
        again = await here.back(first)
        assert await here.sessions() == 1  # who is inside was let in by this gateway; nobody else is
        with pytest.raises(CannotRun, match="refused"):
            await stranger.open(1)
        stranger.close()
        again.close()


@pytest.mark.system
@pytest.mark.prove
async def test_an_edge_that_is_killed_leaves_no_ghosts() -> None:
    async with site() as here, crowd(here.running.port, here.tokens) as people:
        assert people.live == await here.sessions() == STREAMS
        began = time.monotonic()
        await _killed(here, "edge", people)
        await until(here.empty, "the gateway holds nobody")
        assert time.monotonic() - began < NO_GHOSTS
        again = await here.back(people.callers[0])
        assert await here.sessions() == 1
        again.close()
