"""CrowdSec's bouncers: the port where they poll for what stands, from the configuration."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

import uvicorn
from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from defense_lines import Ledger
from defense_lines.lines.crowdsec import Addresses, Bouncer, BouncerApi, Bouncers, Hub, Link, recall
from gateway.config import Bouncer as Settings
from gateway.config import CrowdSecLine, CrowdSecTls
from gateway.keeping import keep_running
from gateway.listening import Door, tcp_listener

_MOST = 512 * 1024  # bytes of one request
_SECONDS = 5.0  # from a request's first byte to its last
_SHORTEST_KEY = 16
CUT = Counter("portcullis_gateway_bouncers_cut_total", "Connections cut, by what was wrong with them", ["why"])


async def run_bouncers(settings: CrowdSecLine, hub: Hub, ledger: Ledger, longest: float, opened: float) -> None:
    """Answer bouncers until cancelled; what fails starts again alone. `longest`: seconds that a block may stand;
    `opened`: Unix seconds when the ledger was.
    """
    addresses = Addresses()
    ledger.watch(addresses.committed)
    await keep_running("bouncers", lambda: recall(addresses, ledger, longest, time.time(), opened))
    await keep_running("bouncers", lambda: _serve(settings, hub, addresses, ledger))


async def _serve(settings: CrowdSecLine, hub: Hub, addresses: Addresses, ledger: Ledger) -> None:
    known = await asyncio.to_thread(_bouncers, settings.bouncers)
    trust = await asyncio.to_thread(_server_tls, settings.tls) if settings.tls else None
    bouncers = Bouncers(known, addresses, hub, ledger.posture, away=settings.away_seconds)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bouncers.run())
        tasks.create_task(serve_bouncers(BouncerApi(bouncers), settings, trust))


async def serve_bouncers(application: BouncerApi, settings: CrowdSecLine, trust: ssl.SSLContext | None) -> None:
    """Let bouncers in until cancelled; then nobody is left. Raises OSError for a port that cannot be had."""
    state = ServerState()
    config = uvicorn.Config(
        application,
        http=BouncerConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=int(settings.away_seconds) + 1,
    )
    config.load()
    door = Door(
        lambda ended: BouncerConnection(config, state, ended),
        settings.max_connections,
        CUT.labels("no_handshake").inc,
    )
    try:
        await door.serve(tcp_listener(settings.address, settings.port), trust)
    finally:
        for connection in [*state.connections]:
            connection.transport.abort()


class BouncerConnection(HttpToolsProtocol):
    """HTTP within bounds. The application finds the connection's Link in `state.link`."""

    def __init__(self, config: uvicorn.Config, state: ServerState, ended: Callable[[], None]) -> None:
        super().__init__(config, state, {})
        self._ended = ended
        self._received = 0
        self._cut_off = False
        self._deadline: asyncio.TimerHandle | None = None
        self._link = Link(self._abort)
        self.app_state = {"link": self._link}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Its first request has so long to begin."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(_SECONDS, self._cut, "too_slow")

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever was to be told of it is told; its place is free."""
        self._no_deadline()
        super().connection_lost(exc)
        answering = self.cycle is not None and not self.cycle.response_complete
        self._link.ended(in_order=exc is None and not self._cut_off and not answering)
        self._ended()

    def data_received(self, data: bytes) -> None:
        """Read on, or cut what sends too much."""
        self._received += len(data)
        super().data_received(data)
        if self._received > _MOST:
            self._cut("too_much")

    def on_message_begin(self) -> None:
        """A request has so long to be whole."""
        super().on_message_begin()
        self._no_deadline()
        self._deadline = self.loop.call_later(_SECONDS, self._cut, "too_slow")

    def on_message_complete(self) -> None:
        """A request is whole."""
        super().on_message_complete()
        self._received = 0
        self._no_deadline()

    def _no_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _cut(self, why: str) -> None:
        if not self.transport.is_closing():
            CUT.labels(why).inc()
        self._abort()

    def _abort(self) -> None:
        self._cut_off = True
        self.transport.abort()


def _bouncers(settings: dict[str, Settings]) -> list[Bouncer]:
    return [Bouncer(name, _key(name, each), each.ranges, each.hold_seconds) for name, each in settings.items()]


def _key(name: str, settings: Settings) -> str:
    if settings.key_file is None:
        return settings.key.get_secret_value() if settings.key else ""
    key = settings.key_file.read_text(encoding="ascii").strip()
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"{settings.key_file}: the key of {name} must have at least {_SHORTEST_KEY} characters")
    return key


def _server_tls(tls: CrowdSecTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["http/1.1"])
    return context
