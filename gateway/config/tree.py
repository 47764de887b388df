"""The whole tree."""

from __future__ import annotations

from pathlib import Path

from gateway.config.askers import Decisions, Mesh
from gateway.config.detection import Detectors, Guard, Telemetry
from gateway.config.edge import Edge, GatewayProcesses, Route, Service
from gateway.config.identity import Identity
from gateway.config.lines import Lines
from gateway.config.policies import Policy
from gateway.config.signals import LiveSessions, Signals, SignalsTransmitter
from gateway.config.tokens import TokenService, Transactions
from gateway.config.values import Branch, Port


class Config(Branch):
    """The whole tree."""

    state: Path = Path(".portcullis/state")  # ledger, sockets, keys; one `up` at a time
    edge: Edge = Edge()
    gateway: GatewayProcesses = GatewayProcesses()
    services: dict[str, Service]
    routes: tuple[Route, ...]
    identity: Identity = Identity()
    policy: Policy = Policy()
    transactions: Transactions = Transactions()
    token_service: TokenService | None = None  # none means that we issue no tokens to callers
    signals_transmitter: SignalsTransmitter | None = None  # none means that nobody is told of our cuts
    sessions: LiveSessions = LiveSessions()
    decisions: Decisions | None = None  # none means that nobody else may ask
    mesh: Mesh | None = None  # none means that no other Envoy may ask
    signals: Signals = Signals()
    telemetry: Telemetry = Telemetry()
    detectors: Detectors = Detectors()
    guard: Guard = Guard()
    lines: Lines = Lines()
    metrics_port: Port | None = None  # /metrics, /healthz and /readyz on 127.0.0.1; none means Unix socket only
