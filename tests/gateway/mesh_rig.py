"""Another Envoy than our edge in front of the same service, as `deploy/mesh` shows it, and a gateway that it asks."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from cryptography import x509

from bench.identities.callers import HOST
from deploy.demo.ports import free_port
from gateway.config import Config, LocalSocket, Mesh, MeshTcp, MutualTls, Policy
from gateway.edge import envoy_binary
from telemetry import Event
from tests.gateway.edge_rig import until
from tests.gateway.front import RESPONSE, SERVER, WORKLOADS, Front, front
from tests.gateway.workloads import Ca, Leaf

EXAMPLES = Path(__file__).parents[2] / "deploy" / "mesh"
_ANSWERS = ("timeout", "message_timeout", "messageTimeout")
GATEWAY = "portcullis.bank.example"
ENVOY = "spiffe://bank.example/envoy"  # by which the gateway knows it
RULES = """package portcullis.access

default decision := {"effect": "deny", "reasons": ["not_yours"]}

decision := {"effect": "allow", "reasons": ["known"]} if permitted

decision := {"effect": "step_up", "reasons": ["weak"], "obligations": {"acr_values": "urn:bank:hardware"}} if {
	not permitted
	input.path == "/step"
}

permitted if {
	input.principal.id
	not input.path in {"/forbidden", "/step", "/payments"}
	not startswith(input.path, "/streams/forbidden")
}

permitted if {
	input.path == "/payments"
	input.body.amount < 100
}
"""


class Relay:
    """The network between Envoy and gateway, which can fail in both ways: at once, or silently."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = free_port()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Pass bytes on."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Nobody is there any more."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()

    def swallow(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        self._passing.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, away = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers |= {writer, away}
            await asyncio.gather(self._pass(reader, away), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._passing.wait()
                writer.write(data)
        writer.transport.abort()


@dataclass
class Meshed:
    """The other Envoy, the gateway behind it, and what came of its access logs."""

    front: Front
    relay: Relay
    url: str
    session: aiohttp.ClientSession
    events: list[Event] = field(default_factory=list)

    async def ask(self, path: str, method: str = "GET", **how: Any) -> tuple[int, Any, bytes]:
        """Status, headers and body."""
        headers = {"host": HOST, **how.pop("headers", {})}
        async with self.session.request(method, self.url + path, headers=headers, **how) as answer:
            return answer.status, answer.headers, await answer.read()

    def bearer(self, **claims: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {self.front.issuer.token(**claims)}"}

    @asynccontextmanager
    async def stream(self, headers: dict[str, str], certificate: Leaf | None = None) -> AsyncIterator[Any]:
        """A live stream's answer."""
        connector = aiohttp.TCPConnector(ssl=self.front.trusting(certificate))
        async with (
            aiohttp.ClientSession(connector=connector) as own,
            own.get(self.url + "/streams/live", headers={"host": HOST, **headers}) as answer,
        ):
            assert answer.status == 200, await answer.text()
            await answer.content.readany()
            yield answer


def certificates(folder: Path) -> MutualTls:
    """Both sides' certificates between Envoy and gateway, in files."""
    authority = Ca("mesh")
    (folder / "portcullis-ca.pem").write_bytes(authority.pem)
    certificate, key = authority.leaf(other=(x509.DNSName(GATEWAY),)).write(folder, "gateway")
    authority.leaf(ENVOY).write(folder, "mesh")
    authority.leaf("spiffe://bank.example/other").write(folder, "other")
    return MutualTls(certificate=certificate, key=key, client_ca=folder / "portcullis-ca.pem", clients=(ENVOY,))


def _policy(config: Config) -> Policy:
    (config.state / "mesh.rego").write_text(RULES)
    (config.state / "mesh-response.rego").write_text(RESPONSE)
    return Policy(paths=(config.state / "mesh.rego", config.state / "mesh-response.rego"))


def example() -> dict[str, Any]:
    """The bootstrap that the documents show."""
    return dict(yaml.safe_load((EXAMPLES / "envoy.yaml").read_text()))


def filled(bootstrap: dict[str, Any], folder: Path, ports: dict[str, int]) -> dict[str, Any]:
    """A bootstrap with this machine's addresses and files in it; `ports` by address and port there. A question may take
    longer than a second: the machine may be busy.
    """

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(each) for each in value]
        if not isinstance(value, dict):
            return str(folder / Path(value).name) if isinstance(value, str) and value.startswith("/etc/") else value
        port = value.get("port_value", value.get("portValue"))
        if port is not None:
            return {"address": "127.0.0.1", "port_value": ports[f"{value['address']}:{port}"]}
        return {name: "10s" if name in _ANSWERS and each == "1s" else fill(each) for name, each in value.items()}

    return dict(fill(bootstrap))


@asynccontextmanager
async def running(bootstrap: dict[str, Any], folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """An Envoy with this bootstrap."""
    file = folder / "other-envoy.json"
    file.write_text(json.dumps(bootstrap))
    options = ("--concurrency", "2", "--log-level", "warning", "--disable-hot-restart", "--use-dynamic-base-id")
    process = await asyncio.create_subprocess_exec(str(envoy_binary()), "--config-path", str(file), *options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def meshed(
    other: dict[str, Any] | None = None,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    changes: Mapping[str, Callable[[Config], Any]] | None = None,
    ready: int = 401,
    **settings: Any,
) -> AsyncIterator[Meshed]:
    """All of it, with the documents' bootstrap or an `other` one, which `change` alters; `changes` are those of the
    gateway's configuration, `settings` those of its `mesh`. `ready` is what a caller without proof is answered once all
    is there.
    """
    port, listening = free_port(), free_port()

    def mesh(config: Config) -> Mesh:
        tcp = MeshTcp(port=port, tls=certificates(config.state))
        return Mesh(tcp=tcp, unix=LocalSocket(), **settings)

    async with AsyncExitStack() as stack:
        behind = await stack.enter_async_context(front(mesh=mesh, policy=_policy, **(changes or {})))
        relay = Relay(port)
        await relay.open()
        stack.push_async_callback(relay.close)
        SERVER.leaf(other=(x509.DNSName("localhost"),)).write(behind.folder, "server")
        (behind.folder / "callers-ca.pem").write_bytes(WORKLOADS.pem)
        service = behind.gateway.config.services["accounts"].port
        ports = {"0.0.0.0:8443": listening, f"{GATEWAY}:8283": relay.port, "127.0.0.1:9901": free_port()}
        ports |= {"accounts.bank.example:8080": service, "accounts.bank.svc.cluster.local:8080": service}
        bootstrap = filled(other or example(), behind.folder, ports)
        change(bootstrap)
        await stack.enter_async_context(running(bootstrap, behind.folder))
        trust = ssl.create_default_context(cadata=SERVER.pem.decode())
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)))
        made = Meshed(behind, relay, f"https://localhost:{listening}", session)
        await until(lambda: _answers(made, ready), "the other Envoy asks the gateway")
        reading = asyncio.create_task(_keep(made))
        stack.callback(reading.cancel)
        yield made


async def _answers(made: Meshed, status: int) -> bool:
    with suppress(aiohttp.ClientError):
        return (await made.ask("/accounts"))[0] == status
    return False


async def _keep(made: Meshed) -> None:
    tail = made.front.gateway.bus.subscribe("test")
    while True:
        made.events.extend((await tail.next()).events())
