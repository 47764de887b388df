"""The configuration tree: frozen, unknown keys refused, secrets typed. Each part gets only its own branch.

*edge* holds services and routes too; *identity*, *policies*, *askers*, *detection*, *lines*, *tokens* and *signals* are
the other branches, *values* what they are made of, and *tree* is the whole.
"""

from gateway.config.askers import Decisions, DecisionsTcp, LocalSocket, Mesh, MeshTcp, MutualTls
from gateway.config.detection import BrokerTls, Detectors, Guard, MqttSource, Telemetry
from gateway.config.edge import Edge, GatewayProcesses, RateLimit, Route, Service, ServiceTls, Tls
from gateway.config.identity import (
    Algorithm,
    ClaimNames,
    Dpop,
    HttpSignatures,
    Identity,
    Introspection,
    Issuer,
    TrustDomain,
)
from gateway.config.lines import Agents, Bouncer, CrowdSecLine, CrowdSecTls, Lines, NftablesLine, OpenC2Lines
from gateway.config.policies import OpaServer, Policy
from gateway.config.signals import Logout, Signals, SignalsReceiver, SignalsTransmitter, Transmitter
from gateway.config.tokens import TokenService, Transactions
from gateway.config.tree import Config
from gateway.config.values import Branch

__all__ = [
    "Agents",
    "Algorithm",
    "Bouncer",
    "Branch",
    "BrokerTls",
    "ClaimNames",
    "Config",
    "CrowdSecLine",
    "CrowdSecTls",
    "Decisions",
    "DecisionsTcp",
    "Detectors",
    "Dpop",
    "Edge",
    "GatewayProcesses",
    "Guard",
    "HttpSignatures",
    "Identity",
    "Introspection",
    "Issuer",
    "Lines",
    "LocalSocket",
    "Logout",
    "Mesh",
    "MeshTcp",
    "MqttSource",
    "MutualTls",
    "NftablesLine",
    "OpaServer",
    "OpenC2Lines",
    "Policy",
    "RateLimit",
    "Route",
    "Service",
    "ServiceTls",
    "Signals",
    "SignalsReceiver",
    "SignalsTransmitter",
    "Telemetry",
    "Tls",
    "TokenService",
    "Transactions",
    "Transmitter",
    "TrustDomain",
]
