"""The gateway process: wires identity, policy, sessions, detection and defense lines together, and runs them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self

import aiohttp
import grpc
import structlog

from defense_lines import EdgeLine, Hub, Ledger
from gateway.agents import Registrar, Registry
from gateway.blocklist import Blocklist
from gateway.bouncers import run_bouncers
from gateway.clock_steps import ClockSteps
from gateway.config import Config, Decisions, Mesh, TokenService
from gateway.decisions import run_decisions
from gateway.detection import Detection
from gateway.devices import Devices
from gateway.edge import (
    EPOCHS_FILE,
    EXCHANGE_SOCKET,
    GRPC_SOCKET,
    LOG_SOCKET,
    TETHER_SOCKET,
    Ads,
    Claims,
    Epochs,
    judge_socket,
    resources,
)
from gateway.enforcement import (
    Judge,
    MeshServices,
    Reusing,
    serve_edge_log,
    serve_questions,
    serve_tether,
)
from gateway.exchanges import Exchanges
from gateway.guarding import Guarding
from gateway.identification import Identification
from gateway.keeping import keep_running
from gateway.lines import expected_lines, run_lines
from gateway.mesh import serve_mesh
from gateway.outgoing import verifying
from gateway.policies import Policies, Rules
from gateway.reconfiguring import Reconfiguring
from gateway.records import Decided, Records
from gateway.rejudging import Rejudging
from gateway.response import Responder
from gateway.revocations import Revocations
from gateway.risk import Risks
from gateway.routing import Routing
from gateway.sessions import Cut, RecentCuts, Session, Sessions
from gateway.shared_signals import SharedSignals
from gateway.signalling import Signalling
from gateway.sources import run_sources
from gateway.standing import Standing
from gateway.transactions import Minter, Rotation, SigningKeys
from gateway.trust import Trust, Upstreams
from gateway.workers import QUESTIONS_SOCKET, Desk, Replicas, State, Together, Untold
from policy import AccessRequest, Decision, Principal
from telemetry import HISTORY, Bus, Door, EventBatch, Rejects

_log = structlog.get_logger()
_CLOCKS = 60.0  # seconds by which a verifier's clock may be behind
_TICK_SECONDS, _TICKS = 0.01, 25
_TURN_SECONDS = 30.0  # between looks at whether a signing key is due


class Gateway:
    """Everything that one gateway process holds. Made by `open`; the parts are public to the operations above."""

    registrar: Registrar
    shared_signals: SharedSignals

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        policies: Policies,
        session: aiohttp.ClientSession,
        signing: SigningKeys,
        replicas: Replicas | None = None,
    ) -> None:
        self.config = config
        self.replicas = replicas
        self.together = Together()
        told = replicas.journal if replicas else Untold()
        self.run = config.state / "run"
        self.started = time.time()
        self.ledger = ledger
        self.policies = policies
        self.records = Records()
        self.recent = RecentCuts(told.cut)
        live = config.sessions
        self.sessions = Sessions(self._cut, oldest=live.max_age_seconds, oldest_by_clock=live.clock_seconds)
        self.epochs = Epochs(self.run / EPOCHS_FILE)
        policies.marks = self.epochs
        self.blocklist = Blocklist(self.sessions, self.epochs, changes=told)
        self.bus = Bus(config.telemetry.queue_events)
        self.rejects = Rejects(path=config.state / "rejects.jsonl")
        self.door = Door(self.bus.publish, self.rejects, time.time)
        self.history_door = Door(self.bus.publish_history, self.rejects, time.time, HISTORY)
        self.risks = Risks(policies.pdp)
        policies.pdp.data.journal = told if replicas else None
        self.agents = Registry(stands=told.agent)
        self.revocations = Revocations(
            config.identity.device_claim, config.sessions.revocations, self.epochs, told.revoked
        )
        self.devices = Devices(config.identity.device_claim, told.postures)
        self.identification = Identification(config, self.agents, session, self._keys_changed, told.keys)
        self.told = told
        identifier = self.identification.identifier
        standing = Standing(identifier, self.agents, self.blocklist, self.revocations, self.devices)
        self.rejudging = Rejudging(self.sessions, policies.pdp, standing, self._renewed, _soon, self.epochs)
        self.signalling = Signalling(
            policies.pdp,
            self.sessions,
            self.rejudging,
            self.revocations,
            self.risks,
            self.devices,
            ledger,
            {issuer.issuer for issuer in config.identity.issuers},
        )
        self.hub = Hub(ledger, [EdgeLine(self.blocklist)], expected=expected_lines(config.lines))
        self.guarding = Guarding(
            config, policies.pdp, ledger, self.hub, self.records, self.bus.subscribe("guard"), self.sessions
        )
        self.responder = Responder(
            policies.pdp,
            self.guarding.blocking,
            ledger,
            self.risks,
            self.records,
            self.rejudging.risk,
        )
        self.identification.put_own_keys(signing.ring.jwks())
        self.signing = signing
        self.minter = Minter(config.transactions, signing.ring, lambda: secrets.token_hex(16))
        self.judge = Judge(
            config,
            identifier,
            self.blocklist,
            policies.pdp,
            self._witness,
            self.identification.ask,
            self.minter,
            self.devices,
            self.revocations,
            self.recent,
        )
        self.detection = Detection(self.bus.subscribe("detectors"), self.responder.verdict)
        self.ads = Ads()
        self.trust = Trust(config.edge.tls, config.identity.trust_domains, self._trust_changed)
        self.upstreams = Upstreams(config.services, self._publish)
        self.reconfiguring = Reconfiguring(
            config, self, self.identification, self.upstreams, self.sessions, self.ads, self._reconfigured
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, config: Config, rules: Rules | None = None) -> AsyncIterator[Self]:
        """Start everything; blocks and risks stand again before the first request is judged. `rules` need not be
        compiled again, where they are the configured ones.
        """
        async with AsyncExitStack() as stack:
            replicas = None
            if config.gateway.workers > 1:
                replicas = Replicas(config.state / "run", time.time())
            policies = await Policies.load(config.policy, replicas, rules)
            stack.push_async_callback(policies.aclose)
            ledger = await stack.enter_async_context(await Ledger.open(config.state / "ledger"))
            session = await stack.enter_async_context(await verifying(config.identity.ca))
            signing = await asyncio.to_thread(_signing_keys, config)
            gateway = cls(config, ledger, policies, session, signing, replicas)
            stack.callback(gateway.rejects.close)
            stack.callback(gateway.epochs.close)
            file = config.state / "agents.db"
            gateway.registrar = await Registrar.open(file, gateway.agents, gateway.rejudging.agent)
            stack.push_async_callback(gateway.registrar.close)
            gateway.shared_signals = await SharedSignals.open(
                config, session, gateway.signalling, gateway.identification, gateway.signing
            )
            stack.push_async_callback(gateway.shared_signals.close)
            gateway._restore()
            await gateway.guarding.restore()
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            running = tasks.create_task(gateway._run())
            stack.callback(running.cancel)
            await gateway.trust.look()
            await gateway.upstreams.look()
            await gateway._listen(stack)
            yield gateway

    def _restore(self) -> None:
        self.hub.restore()
        now = time.time()
        for risk in self.ledger.risks(now):
            self.risks.set(risk)
        for revocation in self.ledger.revocations(now):
            self.revocations.put(revocation)

    async def _run(self) -> None:
        """All of it, until cancelled. Keys, sources, lines and the decision API start again alone; what else fails ends
        the process.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.hub.run())
            tasks.create_task(keep_running("guarding", self.guarding.run))
            tasks.create_task(self.identification.keep())
            tasks.create_task(self._turn_keys())
            if self.config.token_service is not None:
                tasks.create_task(keep_running("tokens", partial(self._exchange, self.config.token_service)))
            tasks.create_task(self.trust.keep())
            tasks.create_task(self.upstreams.keep())
            tasks.create_task(self.detection.serve(_fresh(self.run / "detectors.sock")))
            reusing = Reusing(self.config.edge.cache_seconds, self.config.transactions.life_seconds)
            judging = serve_questions(self.judge, reusing, self.epochs.instance, _fresh(judge_socket(self.run, 0)))
            tasks.create_task(judging)
            tasks.create_task(serve_edge_log(self.door.publish, _fresh(self.run / LOG_SOCKET)))
            tasks.create_task(
                serve_tether(self.judge, self.sessions, self.rejudging.opened, _fresh(self.run / TETHER_SOCKET))
            )
            positions = self.config.state / "positions"
            tasks.create_task(run_sources(self.config.telemetry, self._publish_events, self.rejects, positions))
            tasks.create_task(run_lines(self.config.lines, self.hub, self.ledger, _fresh(self.run / "lines.sock")))
            if (crowdsec := self.config.lines.crowdsec) is not None:
                longest = self.config.guard.max_ttl_seconds
                tasks.create_task(run_bouncers(crowdsec, self.hub, self.ledger, longest, self.started))
            if self.config.decisions is not None:
                tasks.create_task(keep_running("decisions", partial(self._run_decisions, self.config.decisions)))
            if self.config.mesh is not None:
                tasks.create_task(keep_running("mesh", partial(self._run_mesh, self.config.mesh)))
            if self.replicas is not None:
                desk = Desk(self.judge, self._decided, self.together)
                tasks.create_task(self._replicate(self.replicas))
                tasks.create_task(desk.serve(_fresh(self.run / QUESTIONS_SOCKET)))
            tasks.create_task(self._tick())
            tasks.create_task(self.rejudging.run())
            tasks.create_task(self.shared_signals.run(lambda name: _fresh(self.run / name)))

    def judges(self) -> dict[int, int]:
        """Judges that answer beside us: their numbers and processes."""
        return self.replicas.pids() if self.replicas else {}

    async def _replicate(self, replicas: Replicas) -> None:
        """Judges join once all that stands from before stands again."""
        state = State(
            self.blocklist,
            self.revocations,
            self.agents,
            self.devices,
            self.recent,
            self.identification.identifier,
            self.minter,
            self.policies.pdp,
        )
        await replicas.serve(state, _shown(self.config), self.identification.secret, self.identification.born)

    async def _exchange(self, settings: TokenService) -> None:
        identification = self.identification
        exchanges = Exchanges(
            self.config, settings, identification.identifier, self.agents, self.signing, identification.ask
        )
        await exchanges.serve(self.run / EXCHANGE_SOCKET)

    async def _run_decisions(self, settings: Decisions) -> None:
        strict = self.config.policy.strict_builtin_errors
        witness = self.records.decided  # on record, but no activity: what another says must not sway the guard
        await run_decisions(settings, self.policies.pdp, strict, self.blocklist, witness, self.run)

    async def _run_mesh(self, settings: Mesh) -> None:
        claims = Claims(self.config.edge.strip_headers).among
        served = MeshServices(self.judge, self.sessions, self.rejudging.opened, self.door.publish, claims)
        await serve_mesh(served.services, settings, self.run)

    async def _listen(self, stack: AsyncExitStack) -> None:
        server = grpc.aio.server()
        self.ads.add_to(server)
        server.add_insecure_port(f"unix:{_fresh(self.run / GRPC_SOCKET)}")
        if self.config.edge.tls is None:
            self._publish()
        await server.start()
        stack.push_async_callback(server.stop, 0)

    async def _tick(self) -> None:
        """What time alone ends: proofs to the hundredth of a second, blocks and risks to the quarter."""
        steps = ClockSteps(self.epochs.everything)
        while True:
            for _ in range(_TICKS):
                await asyncio.sleep(_TICK_SECONDS)
                self.rejudging.tick()
                steps.look()
            self.blocklist.expire()
            self.revocations.expire(time.time())
            for principal in self.risks.expire(time.time()):
                self.rejudging.risk(principal)

    def _trust_changed(self) -> None:
        self.identification.identifier.put_bundles(self.trust.bundles, self.trust.vouching)
        self.told.trusted(self.trust.bundles, self.trust.vouching)
        self.rejudging.certificates()
        self._publish()

    def begin_change(self, config: Config) -> None:
        """Have all who judge refuse what changes with this configuration (`gateway.reconfiguring.Judges`)."""
        self.judge.begin_change(Routing(config))
        if self.replicas is not None:
            self.replicas.begin_change(_shown(config))

    def end_change(self, config: Config) -> None:
        """Have all who judge judge by this configuration."""
        self.judge.end_change(Routing(config))
        if self.replicas is not None:
            self.replicas.end_change(_shown(config))

    def _reconfigured(self, config: Config) -> None:
        self.config = config
        self.guarding.reconfigured(config)
        self._publish()

    def _publish(self) -> None:
        """What the edge should run on now. One that is to speak TLS waits for its certificate."""
        if self.trust.material or self.config.edge.tls is None:
            jwks, services = self.signing.ring.jwks().decode(), self.upstreams.material
            self.ads.publish(resources(self.config, tls=self.trust.material, jwks=jwks, services=services))

    def _publish_events(self, batch: EventBatch) -> None:
        """What sources say, for detectors and for whom policy asks about devices."""
        for device in self.devices.saw(batch):
            self.rejudging.device(device)
        self.door.publish(batch)

    async def _turn_keys(self) -> None:
        while True:
            await asyncio.sleep(_TURN_SECONDS)
            if await asyncio.to_thread(self.signing.turn, time.time()):
                self.minter.put_ring(self.signing.ring)
                self.told.ring(self.signing.ring)
                self.identification.put_own_keys(self.signing.ring.jwks())
                self._publish()

    def _witness(self, request: AccessRequest, decision: Decision) -> None:
        self._decided(Decided.of(request, decision))

    def _decided(self, decided: Decided) -> None:
        """Here, or by a judge beside us."""
        self.records.keep(decided)
        if decided.effect == "allow":
            session = decided.id if decided.stream else ""
            for actor in [actor.id for actor in decided.actors] or [decided.subject]:  # a block hits whoever is in it
                self.guarding.saw(decided.subject, actor, decided.address, session, decided.time)

    def _keys_changed(self, issuer: str) -> None:
        self.rejudging.keys(issuer)

    def _cut(self, session: Session, cut: Cut, seconds: float) -> None:
        now = time.time()
        self.recent.saw(session, cut, now)
        self.records.cut(session, cut, seconds, now)
        self.shared_signals.cut(session, cut, now)

    async def _renewed(self, session: Session) -> Principal | None:
        """What the issuer says now of the token that a session began with."""
        return await self.identification.renewed(session.evidence.issuer, session.evidence.opaque)


def _soon(work: Callable[[], int]) -> None:
    asyncio.get_running_loop().call_soon(work)


def _signing_keys(config: Config) -> SigningKeys:
    """The keys of transaction tokens, in a file of this user's. Raises OSError and ValueError as SigningKeys does."""
    settings, exchanged = config.transactions, config.token_service
    longest = max(settings.life_seconds, exchanged.life_seconds if exchanged else 0) + _CLOCKS
    rotation = Rotation(settings.key_seconds, settings.publish_ahead_seconds, longest)
    return SigningKeys(config.state / "signing-keys.json", rotation, time.time())


def _shown(config: Config) -> bytes:
    """The configuration as judges get it: secrets are masked, for none needs one."""
    return config.model_dump_json().encode()


def _fresh(socket: Path) -> Path:
    """The socket's path, with what a killed predecessor left there taken away."""
    socket.unlink(missing_ok=True)
    return socket
