"""The two that order: Portcullis as it runs, and stock CrowdSec 1.4.6 (its local API alone)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from bench.bouncers.debian import debian_bouncer
from bench.result import CannotRun
from bench.system import portcullis, process, tool, until, until_idle
from deploy.demo.ports import free_port
from gateway.config import Bouncer, Config, CrowdSecLine, Edge, Guard, Lines, Route, Service

KEY = "bench-0123456789abcdef"
PACKAGE = "crowdsec-firewall-bouncer"
_LIFE = "1h"
_STOCK = """
common: {{daemonize: false, log_media: stdout, log_level: warning, working_dir: {folder}}}
config_paths: {{config_dir: {folder}, data_dir: {folder}, simulation_path: {folder}/simulation.yaml,
  hub_dir: {folder}, index_path: {folder}/index.json, notification_dir: {folder}, plugin_dir: {folder}}}
crowdsec_service: {{enable: false}}
cscli: {{output: raw}}
db_config: {{log_level: warning, type: sqlite, use_wal: true, db_path: {folder}/crowdsec.db}}
api:
  client: {{credentials_path: {folder}/credentials.yaml}}
  server: {{log_level: warning, listen_uri: 127.0.0.1:{port}, profiles_path: {folder}/profiles.yaml}}
prometheus: {{enabled: false}}
"""
_PROFILES = """
name: none
filters: ["false"]
on_success: break
"""
_AGENT = {"User-Agent": "bench/1"}  # a name and a version: it lets nobody else in
_MACHINE, _PASSWORD = "bench", "bench-password-0123456789"


class Side(Protocol):
    """Somebody who can have an address blocked."""

    async def order(self, address: str) -> None:
        """Returns when it is acknowledged. Raises CannotRun."""


class Ours:
    """`POST /v1/blocks` on the admin socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def order(self, address: str) -> None:
        """See Side."""
        body = {"kind": "address", "value": address, "ttl": 3600, "reason": "measured"}
        async with self._session.post("http://portcullis/v1/blocks", json=body) as answer:
            said = await answer.json()
            if said.get("outcome") != "accepted":
                raise CannotRun(f"a block was answered with {said}")


class Stock:
    """What `cscli decisions add` sends, on a connection that stays open: its own start is not counted."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def order(self, address: str) -> None:
        """See Side."""
        async with self._session.post("/v1/alerts", json=[_alert(address)]) as answer:
            if answer.status != 201:
                raise CannotRun(f"CrowdSec answered a decision with {answer.status}: {await answer.text()}")


@asynccontextmanager
async def ours(folder: Path) -> AsyncIterator[Ours]:
    """`portcullis up`, and a bouncer that polls it."""
    program, port, key = tool("crowdsec-firewall-bouncer", PACKAGE), free_port(), folder / "key"
    key.write_text(KEY)
    config = Config(
        state=folder / "state",
        edge=Edge(port=free_port()),
        services={"none": Service(address="127.0.0.1", port=free_port())},
        routes=(Route(prefix="/", service="none"),),
        guard=Guard(blocks_per_minute=1_000_000),
        lines=Lines(crowdsec=CrowdSecLine(port=port, bouncers={"debian": Bouncer(key_file=key)})),
    )
    connector = aiohttp.UnixConnector(str(config.state / "run" / "admin.sock"))
    async with (
        portcullis(config, folder) as running,
        debian_bouncer(program, folder, port, KEY, "5ms", "ours"),
        aiohttp.ClientSession(connector=connector) as session,
    ):
        await until_idle(running)
        yield Ours(session)


@asynccontextmanager
async def stock(folder: Path, every: str, table: str) -> AsyncIterator[Stock]:
    """CrowdSec's local API, and a bouncer that polls it with a pause of `every`."""
    program, port = tool("crowdsec-firewall-bouncer", PACKAGE), free_port()
    crowdsec, settings = tool("crowdsec", "crowdsec"), folder / "config.yaml"
    settings.write_text(_STOCK.format(folder=folder, port=port))
    for name, text in (("profiles.yaml", _PROFILES), ("simulation.yaml", "simulation: off\n"), ("index.json", "{}")):
        (folder / name).write_text(text)
    credentials = str(folder / "credentials.yaml")
    await _cscli(settings, "machines", "add", _MACHINE, "--password", _PASSWORD, "-f", credentials)
    await _cscli(settings, "bouncers", "add", "debian", "-k", KEY)
    async with (
        process(crowdsec, "-c", str(settings), "-no-cs") as child,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=_AGENT) as session,
    ):
        token = await _login(session, child)
        session.headers["authorization"] = f"Bearer {token}"
        async with debian_bouncer(program, folder, port, KEY, every, table):
            yield Stock(session)


async def _login(session: aiohttp.ClientSession, child: asyncio.subprocess.Process) -> str:
    found: list[str] = []

    async def let_in() -> bool:
        body = {"machine_id": _MACHINE, "password": _PASSWORD, "scenarios": []}
        try:
            async with session.post("/v1/watchers/login", json=body) as answer:
                if answer.status != 200:
                    raise CannotRun(f"CrowdSec answered a log-in with {answer.status}: {await answer.text()}")
                found.append((await answer.json())["token"])
        except aiohttp.ClientConnectionError:
            return False
        return True

    await until(let_in, "CrowdSec", child)
    return found[0]


async def _cscli(settings: Path, *arguments: str) -> None:
    program = tool("cscli", "crowdsec")
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(program, "-c", str(settings), *arguments, stdout=pipe, stderr=pipe)
    _, said = await child.communicate()
    if child.returncode:
        raise CannotRun(f"cscli {arguments[0]} {arguments[1]}: {said.decode().strip()}")


def _alert(address: str) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    decision = {
        "duration": _LIFE,
        "scope": "Ip",
        "value": address,
        "type": "ban",
        "scenario": "measured",
        "origin": "cscli",
    }
    return {
        "capacity": 0,
        "decisions": [decision],
        "events": [],
        "events_count": 1,
        "leakspeed": "0",
        "message": "measured",
        "scenario": "measured",
        "scenario_hash": "",
        "scenario_version": "",
        "simulated": False,
        "source": {"scope": "Ip", "value": address, "ip": address},
        "start_at": now,
        "stop_at": now,
        "created_at": now,
    }
