"""A gateway in this process with real judges beside it, and callers who ask each of them directly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jwt
from pydantic import SecretStr

from gateway.app import Gateway
from gateway.config import Config, Dpop, GatewayProcesses, Identity, Introspection, Policy, Route, Service
from gateway.edge import judge_socket
from gateway.operations import GatewayOperations
from tests.gateway.edge_rig import until
from tests.gateway.issuer_rig import LocalIssuer
from tests.gateway.questioner import Questioner

ROOT = Path(__file__).parents[2]
HOST = "bank.example"
BOT = "agent:bot"
RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": ["VERSION"]} if not wrong

decision := {"effect": "deny", "reasons": ["VERSION", wrong]} if wrong

wrong := "closed" if data.closed[input.principal.id]

wrong := "risky" if {
    not data.closed[input.principal.id]
    data.risk[input.principal.id] == "high"
}

wrong := "device" if {
    not data.closed[input.principal.id]
    not data.risk[input.principal.id]
    input.device.compliant == false
}
"""


def rules(version: str) -> str:
    return RULES.replace("VERSION", version)


def token(issuer: LocalIssuer, subject: str, **claims: Any) -> str:
    """An access token that is good for ten minutes."""
    now = int(time.time())
    told = {"iss": issuer.url, "sub": subject, "aud": "bank", "client_id": "c", "scope": "all"}
    times = {"iat": now, "exp": now + 600, "jti": f"t-{time.monotonic_ns()}"}
    (kid, key), *_ = issuer.keys.items()
    return jwt.encode(told | times | claims, key, "ES256", {"typ": "at+jwt", "kid": kid})


@dataclass(frozen=True)
class Said:
    """One answer."""

    sent: float  # monotonic seconds
    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def reasons(self) -> list[str]:
        return list(self.body.get("reasons", []))


class Caller:
    """One connection of the edge's to one worker."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._connection: Questioner | None = None

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def ask(self, token: str, **headers: str) -> Said:
        """Raises OSError, EOFError where nobody answers."""
        sent = time.monotonic()
        try:
            if self._connection is None:
                self._connection = await Questioner.connected(self.socket)
            lines = {"x-forwarded-for": "10.0.0.5", "authorization": f"Bearer {token}"} | headers
            answer = await self._connection.ask("GET", "/accounts/1", lines, host=HOST)
        except (OSError, EOFError):
            self.close()
            raise
        return Said(sent, answer.status, answer.headers, json.loads(answer.body) if answer.body else {})

    def close(self) -> None:
        if self._connection is not None:
            self._connection.writer.close()
            self._connection = None


@dataclass
class Site:
    """A gateway and its judges."""

    gateway: Gateway
    operations: GatewayOperations
    issuer: LocalIssuer
    rules: Path
    parent: asyncio.subprocess.Process
    callers: Sequence[Caller] = field(default_factory=tuple)

    def token(self, subject: str = "alice", **claims: Any) -> str:
        return token(self.issuer, subject, **claims)

    async def live(self) -> None:
        """Until every judge answers."""
        replicas = self.gateway.replicas
        assert replicas is not None
        await until(lambda: len(replicas.pids()) == len(self.callers) - 1, "all judges are live")
        for caller in self.callers:
            await until(partial(_answers, caller.socket), "all judges answer")

    async def everybody(self, token: str, **headers: str) -> list[Said]:
        """Each worker's answer, the gateway's own first."""
        return [await caller.ask(token, **headers) for caller in self.callers]


async def _answers(socket: Path) -> bool:
    """One that is about to end may still listen."""
    with Caller(socket) as caller:
        try:
            await caller.ask("")
        except (OSError, EOFError):
            return False
    return True


@asynccontextmanager
async def site(folder: Path, issuer: LocalIssuer, workers: int = 3) -> AsyncIterator[Site]:
    """Workers whose policy is `rules("v0")`; number 0 is asked where the gateway itself answers."""
    config = configuration(folder, issuer, workers)
    run, file = written(folder, config)
    sockets = [judge_socket(run, number) for number in range(workers)]
    async with Gateway.open(config) as gateway, judges(folder, file) as parent:
        callers = tuple(map(Caller, sockets))
        made = Site(gateway, GatewayOperations(gateway), issuer, folder / "bank.rego", parent, callers)
        await until(lambda: issuer.asked["jwks"] > 0, "the keys are there")
        await made.live()
        try:
            yield made
        finally:
            for caller in callers:
                caller.close()


def written(folder: Path, config: Config) -> tuple[Path, Path]:
    """The folder of sockets, and the configuration."""
    run, file = folder / "state" / "run", folder / "portcullis.yaml"
    run.mkdir(mode=0o700, parents=True)
    (folder / "bank.rego").write_text(rules("v0"))
    file.write_text(json.dumps(config.model_dump(mode="json", exclude_unset=True)))
    return run, file


def configuration(folder: Path, issuer: LocalIssuer, workers: int) -> Config:
    opaque = Introspection(client_id="gateway", client_secret=SecretStr("of a test"), cache_seconds=300)
    return Config(
        state=folder / "state",
        gateway=GatewayProcesses(workers=workers),
        services={"accounts": Service(address="127.0.0.1", port=9)},
        routes=(Route(prefix="/", service="accounts"),),
        identity=Identity(
            issuers=(issuer.config(introspection=opaque),),
            authorities=(HOST,),
            dpop=Dpop(),
        ),
        policy=Policy(paths=(folder / "bank.rego",)),
    )


@asynccontextmanager
async def judges(folder: Path, file: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "console.cli", "run", "judges", "-c", str(file)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=log, stderr=log, env=environment, process_group=0
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@asynccontextmanager
async def hammering(site: Site, token: str) -> AsyncIterator[list[list[Said]]]:
    """Callers of their own that ask each worker again and again while the block runs; what each was told."""
    told: list[list[Said]] = [[] for _ in site.callers]
    callers = [Caller(caller.socket) for caller in site.callers]
    try:
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(_ask(*each, token)) for each in zip(callers, told, strict=True)]
            yield told
            for one in asking:
                one.cancel()
    finally:
        for caller in callers:
            caller.close()


async def _ask(caller: Caller, told: list[Said], token: str) -> None:
    while True:
        told.append(await caller.ask(token))


def after(told: Sequence[Sequence[Said]], moment: float) -> Iterator[Said]:
    """What was asked after a moment."""
    return (said for each in told for said in each if said.sent > moment)
