"""The ways in to the gateway for agents: the host's own over the Unix socket, others by certificate, over a port."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from picows import WSHandshakeError

from defense_lines import Ledger
from defense_lines.agent.connecting import over_tls, over_unix, proving
from defense_lines.lines.remote import RemoteLine
from deploy.demo.ports import free_port
from gateway.config import Agents, MutualTls
from gateway.configuration import ConfigurationError, parse
from gateway.line_agents import accept_agents, fingerprint
from tests.authority import Authority
from tests.defense_lines.agent_rig import PATIENCE, agent, batch, block
from tests.defense_lines.test_remote_line import Peer

NAME = "spiffe://bank.example/line/fw-1"


class Hub:
    """What comes and goes."""

    def __init__(self) -> None:
        self.attached: asyncio.Queue[RemoteLine] = asyncio.Queue()
        self.detached: asyncio.Queue[RemoteLine] = asyncio.Queue()
        self.attach = self.attached.put_nowait
        self.detach = self.detached.put_nowait


@asynccontextmanager
async def accepting(folder: Path) -> AsyncIterator[tuple[Hub, Agents, Authority, Ledger]]:
    authority, hub = Authority(folder, "ca"), Hub()
    certificate, key = authority.issue("gateway", x509.DNSName("localhost"))
    tls = MutualTls(certificate=certificate, key=key, client_ca=authority.certificate, clients=("fw-2", NAME))
    settings = Agents(port=free_port(), tls=tls)
    async with asyncio.timeout(PATIENCE), await Ledger.open(folder / "ledger") as ledger:
        accept = accept_agents(settings, hub, ledger, folder / "lines.sock")  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(accept)
            yield hub, settings, authority, ledger
            accepting.cancel()


async def test_a_certificate_names_the_line_and_the_ledger_is_followed(tmp_path: Path) -> None:
    async with accepting(tmp_path) as (hub, settings, authority, ledger):
        files = authority.issue("fw", x509.DNSName("fw.example"), x509.UniformResourceIdentifier(NAME))
        connect = over_tls(f"wss://localhost:{settings.port}", proving(*files, authority.certificate))
        async with agent(tmp_path / "line", connect) as running:
            line = await hub.attached.get()
            assert line.name == NAME
            assert (await line.carry_out(batch(0, [block(1)]))).notes == ()
            assert running.enforcer.journal.ledger == fingerprint(ledger.places.public_key)
        assert await hub.detached.get() is line


async def test_a_certificate_of_no_line_does_not_come_in(tmp_path: Path) -> None:
    async with accepting(tmp_path) as (hub, settings, authority, _):
        files = authority.issue("till", x509.DNSName("till-1"))
        connect = over_tls(f"wss://localhost:{settings.port}", proving(*files, authority.certificate))
        while True:
            try:
                await connect(Peer())
            except WSHandshakeError:
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)  # it does not listen yet
        assert hub.attached.empty()


async def test_the_agent_of_this_host_is_nftables(tmp_path: Path) -> None:
    async with accepting(tmp_path) as (hub, *_):
        async with agent(tmp_path / "line", over_unix(tmp_path / "lines.sock")):
            line = await hub.attached.get()
            assert line.name == "nftables"
            assert stat.S_IMODE((tmp_path / "lines.sock").stat().st_mode) == 0o600
        assert await hub.detached.get() is line


BANK = """
services: {accounts: {address: 127.0.0.1, port: 8080}}
routes: [{prefix: /, service: accounts}]
lines:
  agents:
    %s
"""
TLS = "tls: {certificate: a, key: b, client_ca: c, clients: [%s]}"


@pytest.mark.parametrize(
    ("agents", "problem"),
    [
        (TLS % "", "must name the lines"),
        (TLS % "nftables", "'nftables' is another line's name"),
        (TLS % "fw-1, fw-1", "'fw-1' is another line's name"),
        (TLS % "fw-1" + "\n    address: gw.example", "must be an IPv4 or IPv6 address"),
        (TLS % "fw-1" + "\n    port: 8443", "is the edge's port"),
    ],
)
def test_what_does_not_fit_together_is_said(agents: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        parse((BANK % agents + "edge: {port: 8443}\n").encode(), "bank.yaml", {})
