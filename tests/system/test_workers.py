"""`portcullis up` with three workers: judges killed under load behind the real edge, nobody passes unjudged."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bench.system import AUDIENCE, Issuer, Running, open_folder, portcullis
from deploy.demo.ports import free_port
from gateway.config import Config, Edge, GatewayProcesses, Identity, Policy, Route, Service
from gateway.config import Issuer as Trusted
from tests.gateway.edge_rig import until

KILLS = 50 if os.environ.get("PORTCULLIS_PROVE") == "1" else 10
BACK = 1.0  # seconds
CALLERS = 8
RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": []} if input.principal.id == "person:good"
"""


@dataclass
class Site:
    """`portcullis up` before a service that looks at who comes."""

    running: Running
    admin: Path
    issuer: Issuer
    unjudged: list[str] = field(default_factory=list)  # who came to the service without a transaction token

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}/accounts/1"

    async def judges(self) -> dict[str, int]:
        """Those that answer: numbers and processes."""
        connector = aiohttp.UnixConnector(str(self.admin))
        async with (
            aiohttp.ClientSession("http://portcullis", connector=connector) as session,
            session.get("/readyz") as answer,
        ):
            return dict((await answer.json())["judges"])


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_folder("workers"))
        (folder / "bank.rego").write_text(RULES)
        issuer, unjudged = Issuer(), list[str]()
        url = await stack.enter_async_context(issuer.serve())
        behind = await stack.enter_async_context(_service(unjudged))
        config = _configuration(folder, behind, url)
        running = await stack.enter_async_context(portcullis(config, folder))
        yield Site(running, config.state / "run" / "admin.sock", issuer, unjudged)


def _configuration(folder: Path, behind: int, issuer: str) -> Config:
    return Config(
        state=folder / "state",
        edge=Edge(port=free_port(), drain_seconds=0),
        gateway=GatewayProcesses(workers=3),
        services={"accounts": Service(address="127.0.0.1", port=behind)},
        routes=(Route(prefix="/", service="accounts"),),
        identity=Identity(issuers=(Trusted(issuer=issuer, jwks_url=f"{issuer}/jwks", audience=AUDIENCE),)),
        policy=Policy(paths=(folder / "bank.rego",)),
    )


@asynccontextmanager
async def _service(unjudged: list[str]) -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        if "txn-token" not in request.headers:
            unjudged.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _ask(session: aiohttp.ClientSession, url: str, token: str, told: Counter[int]) -> None:
    while True:
        async with session.get(url, headers={"authorization": f"Bearer {token}"}) as answer:
            told[answer.status] += 1


async def _killed(here: Site, number: str) -> float:
    """SIGKILL a judge. Seconds until another one answers under its number."""
    pid = (await here.judges())[number]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)

    async def back() -> bool:
        return (await here.judges()).get(number, pid) != pid

    await until(back, "a judge is there again")
    return time.monotonic() - began


@pytest.mark.system
@pytest.mark.prove
async def test_judges_killed_under_load_let_nobody_pass_unjudged() -> None:
    async with site() as here, aiohttp.ClientSession() as session:
        good, bad = here.issuer.token("good"), here.issuer.token("bad")

        async def both() -> bool:
            return len(await here.judges()) == 2

        await until(both, "both judges answer")
        let_in, kept_out = Counter[int](), Counter[int]()
        async with asyncio.TaskGroup() as tasks:
            asking = [
                tasks.create_task(_ask(session, here.url, token, told))
                for _ in range(CALLERS // 2)
                for token, told in ((good, let_in), (bad, kept_out))
            ]
            await until(lambda: let_in[200] > 100, "it is in use")
            seconds = [await _killed(here, str(number % 2 + 1)) for number in range(KILLS)]
            for task in asking:
                task.cancel()
        sys.stderr.write(f"{let_in} {kept_out}; {statistics.median(seconds):.3f} s, {max(seconds):.3f} s at most\n")
        assert not here.unjudged
        assert set(let_in) <= {200, 503}
        assert set(kept_out) <= {403, 503}
        assert max(seconds) < BACK
