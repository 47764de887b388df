"""A judge over everything that a signal may change, and a real Envoy of two workers that gives its answers again."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import grpc
import jwt
import msgspec
from aiohttp import web

from defense_lines import Revocation, Risk
from deploy.demo.ports import free_port
from gateway.agents import Agent, Profile, Registry, State, Vetting
from gateway.blocklist import Blocklist
from gateway.clock_steps import ClockSteps
from gateway.config import Config, Edge, RateLimit, Route, Service
from gateway.devices import Posture
from gateway.edge import ADMIN_SOCKET, EPOCHS_FILE, GRPC_SOCKET, Ads, EnvoyAdmin, Epochs, envoy_command, judge_socket
from gateway.edge import resources as edge_resources
from gateway.enforcement import Attempt, Judge, Reusing, serve_questions
from gateway.identity import Credentials, Identifier, KeySet, Missing, UnknownKey
from gateway.rejudging import Rejudging
from gateway.revocations import Revocations
from gateway.risk import Risks
from gateway.sessions import RecentCuts, Session
from gateway.standing import Standing
from policy import BlockPolicy, Bundle, Cause, Pdp, Principal, Target, compile_bundle
from policy.engines import EmbeddedEngine
from tests.gateway.edge_rig import DEADLINE, until
from tests.gateway.parts import ISSUER, Bank

RULES = """package portcullis.access

import rego.v1

default decision := {"effect": "deny", "reasons": ["no"]}

decision := {"effect": "allow", "reasons": []} if {
	not data.risk[input.principal.actor] == "high"
	not data.closed[input.service]
	permitted
}

permitted if input.segments == ["accounts", input.principal.attributes.account]

permitted if {
	input.path == "/accounts/query"
	startswith(input.query, "ok")
}

permitted if {
	input.path == "/accounts/host"
	input.host == "bank"
}

permitted if {
	input.path == "/accounts/device"
	input.device.compliant
}

permitted if {
	input.path == "/accounts/hours"
	input.time < data.closes
}

permitted if {
	input.path == "/accounts/write"
	input.action == "POST"
}
"""
STRICTER = RULES.replace("\tpermitted\n}", '\tpermitted\n\tinput.principal.id != "person:bob"\n}')
DOCUMENT = {"risk": {}, "closed": {}, "closes": 2.0**33}


class World(Bank):
    """Time is the machine's own, moved by `ahead` seconds."""

    def __init__(self, seconds: float, rate_limit: RateLimit | None = None) -> None:
        self.ahead = 0.0
        self.has_keys = True  # of the issuer
        self.folder = Path(tempfile.mkdtemp(prefix="edge-"))
        self.run = self.folder / "run"
        self.run.mkdir()
        self.loose = compile_bundle(Bundle({"a.rego": RULES}, dict(DOCUMENT)))
        self.strict = compile_bundle(Bundle({"a.rego": STRICTER}, dict(DOCUMENT)))
        edge = Edge(
            port=free_port(), concurrency=2, cache_seconds=seconds, access_log_flush_ms=10, rate_limit=rate_limit
        )
        super().__init__(pdp=Pdp(EmbeddedEngine(self.loose)), edge=edge)
        self.epochs = Epochs(self.run / EPOCHS_FILE)
        self.agents = Registry()
        self.identifier = Identifier(self.config.identity, Vetting(self.agents, True, "us"))
        self.blocklist = Blocklist(self.sessions, self.epochs, self.now)
        self.revocations = Revocations("device_id", 1000, self.epochs)
        self.risks = Risks(self.pdp)
        self.standing = Standing(self.identifier, self.agents, self.blocklist, self.revocations, self.devices)
        self.later: list[Callable[[], int]] = []  # never done: no stream lives here
        self.rejudging = Rejudging(
            self.sessions,
            self.pdp,
            self.standing,
            self._renew,
            self.later.append,
            self.epochs,
            self.now,
            time.monotonic,
        )
        self.steps = ClockSteps(self.epochs.everything, self.now)
        self.judge = Judge(
            self.config,
            self.identifier,
            self.blocklist,
            self.pdp,
            self._witness,
            self._ask,
            self.minter,
            self.devices,
            self.revocations,
            RecentCuts(),
            self.now,
        )
        self.tasks: set[asyncio.Task[Any]] = set()
        self.connections: dict[tuple[str, int], tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self.ahead

    async def _renew(self, session: Session) -> Principal | None:
        return None

    async def start(self) -> None:
        """Upstream, judge and Envoy, and the issuer's key is known."""
        await self._ask(UnknownKey(ISSUER))
        services = {"bank": Service(address="127.0.0.1", port=await self._upstream())}
        routes = (Route(prefix="/accounts", service="bank"), Route(prefix="/pay", service="bank", body_bytes=100))
        self.config = Config(
            state=self.folder,
            edge=self.config.edge,
            services=services,
            routes=routes,
            identity=self.config.identity,
        )
        reusing = Reusing(self.config.edge.cache_seconds, self.config.transactions.life_seconds)
        self._task(serve_questions(self.judge, reusing, self.epochs.instance, judge_socket(self.run, 0)))
        ads, server = Ads(), grpc.aio.server()
        ads.add_to(server)
        server.add_insecure_port(f"unix:{self.run / GRPC_SOCKET}")
        await server.start()
        self.server = server
        self.envoy = await asyncio.create_subprocess_exec(*envoy_command(self.config, self.run))
        version = ads.publish(edge_resources(self.config))
        self.admin = EnvoyAdmin(self.run / ADMIN_SOCKET)
        await until(self.admin.ready, "Envoy is ready")
        assert await ads.applied(version, DEADLINE)

    async def stop(self) -> None:
        """All of it."""
        for _, writer in self.connections.values():
            writer.close()
        self.envoy.kill()
        await self.envoy.wait()
        await self.server.stop(None)
        await self.runner.cleanup()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.epochs.close()
        shutil.rmtree(self.folder)

    def _task(self, work: Any) -> None:
        self.tasks.add(asyncio.create_task(work))

    async def _upstream(self) -> int:
        async def echo(request: web.Request) -> web.Response:
            await request.read()
            return web.Response(text=request.headers.get("x-portcullis-subject", "nobody"))

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", echo)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return int(self.runner.addresses[0][1])

    async def send(
        self, connection: int, source: str, method: str, target: str, host: str, token: str, body: bytes = b""
    ) -> tuple[int, str, str]:
        """Status, decision and what the upstream said, over one of many connections that stay open; status 0 where the
        edge closed it.
        """
        reader, writer = await self._connection(connection, source)
        head = [f"{method} {target} HTTP/1.1", f"host: {host}", f"authorization: Bearer {token}"]
        head += [f"content-length: {len(body)}"] if body or method == "POST" else []
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        try:
            async with asyncio.timeout(DEADLINE):
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                told = dict(line.split(": ", 1) for line in lines[1:] if line)
                text = await reader.readexactly(int(told["content-length"]))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.connections.pop((source, connection))[1].close()
            return 0, "", ""
        if told.get("connection") == "close":
            self.connections.pop((source, connection))[1].close()
        return int(lines[0].split()[1]), told.get("x-portcullis-decision", ""), text.decode()

    async def _connection(self, number: int, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        key = (source, number)
        if key not in self.connections:
            port = self.config.edge.port
            self.connections[key] = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        return self.connections[key]

    async def expected(self, source: str, method: str, target: str, host: str, token: str, body: bytes = b"") -> bool:
        """What the judge says when it is asked directly."""
        shown = body if target.startswith("/pay") else b""
        credentials = Credentials(f"Bearer {token}", "", "", None)
        return (await self.judge.ask(Attempt(method, target, host, source, credentials, shown))).allowed

    # -- signals --------------------------------------------------------------------------------------------------

    def risk(self, principal: str, level: str) -> None:
        """Its risk is now that."""
        self.risks.set(Risk(principal=principal, level=level, expires=self.now() + 1e6, reason="test", by="test"))
        self.rejudging.risk(principal)

    def close_service(self, closed: bool) -> None:
        """Nobody may ask the service, or everybody who may."""
        self.pdp.put_data(("closed", "bank"), closed)
        self.rejudging.data(("data", "closed", "bank"))

    def closes(self, seconds: float) -> None:
        """The office closes in so many seconds."""
        self.pdp.put_data(("closes",), self.now() + seconds)
        self.rejudging.data(("data", "closes"))

    def block(self, kind: Any, value: str) -> str:
        """A block policy; its id."""
        name = f"b-{crc32(f'{kind} {value}'.encode()):016x}"
        cause = Cause(reason="test", by="test")
        order = BlockPolicy(id=name, target=Target.of(kind, value), created=0.0, expires=2.0**33, cause=cause)
        self.blocklist.enforce([order])
        return name

    def revoke(self, kind: Any, value: str) -> None:
        """What was issued until now to whoever is named so counts no more."""
        now = self.now()
        self.revocations.put(Revocation(kind=kind, value=value, before=now, until=now + 1e6, reason="test", by="test"))

    def agent(self, name: str, state: State) -> None:
        """It is registered, and may act or not."""
        declared = {"id": name, "owner": "team:x", "purpose": "p", "model": "m", "version": "1", "expires": 4e9}
        profile = msgspec.convert(declared | {"may_act_for": ["*"]}, Profile)
        agent = Agent(profile=profile, state=state, changed=self.now(), by="analyst:jo")
        self.agents.put(agent)
        self.rejudging.agent(agent)

    def posture(self, device: str, compliant: bool) -> None:
        """What is said of a device."""
        self.devices.learn(device, Posture(compliant, self.now()))
        self.rejudging.device(device)

    def keys(self, known: bool) -> None:
        """The issuer's keys are there, or gone."""
        self.has_keys = known
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key())) | {"kid": "k"}
        self.identifier.put_keys(ISSUER, KeySet.parse({"keys": [public] if known else []}))
        self.rejudging.keys(ISSUER)

    async def _ask(self, missing: Missing) -> None:
        if self.has_keys:
            await super()._ask(missing)

    def revision(self, strict: bool) -> None:
        """Another revision of the policy is live."""
        self.pdp.activate(self.strict if strict else self.loose)
        self.rejudging.everyone()

    def step(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self.ahead += seconds
        self.steps.look()
