"""The edge is the Envoy in front of the bank's services.

Its *bootstrap* is the file it starts with: where the gateway's sockets are, and nothing else. Its *resources* are
what it runs on (a listener, its secrets, routes, a cluster a service), made from the configuration and gathered in a
*snapshot* with a version. *Discovery* is the conversation by which a snapshot is pushed and an Envoy accepts or
refuses it; *Ads* carries that conversation. The *admin* socket answers whether the edge is ready.
"""

from gateway.edge.ads import Ads
from gateway.edge.binary import EnvoyMissing, envoy_binary
from gateway.edge.bootstrap import (
    ADMIN_SOCKET,
    AUTHZ_SOCKET,
    EXCHANGE_CONNECTIONS,
    EXCHANGE_SOCKET,
    GRPC_SOCKET,
    SIGNALS_SOCKET,
    TETHER_SOCKET,
    TRANSMITTER_SOCKET,
    bootstrap,
    envoy_command,
    judge_socket,
)
from gateway.edge.discovery import EdgeState
from gateway.edge.filters import ANSWER_HEADERS, EXT_AUTHZ, EXT_PROC
from gateway.edge.health import EnvoyAdmin
from gateway.edge.resources import resources
from gateway.edge.routes import (
    EVENTS_PATH,
    EXCHANGE_PATH,
    JWKS_PATH,
    LOGOUT_PATH,
    SSF_CONFIGURATION_PATH,
    SSF_PREFIX,
)
from gateway.edge.secrets import TlsMaterial
from gateway.edge.snapshot import Snapshot

__all__ = [
    "ADMIN_SOCKET",
    "ANSWER_HEADERS",
    "AUTHZ_SOCKET",
    "EVENTS_PATH",
    "EXCHANGE_CONNECTIONS",
    "EXCHANGE_PATH",
    "EXCHANGE_SOCKET",
    "EXT_AUTHZ",
    "EXT_PROC",
    "GRPC_SOCKET",
    "JWKS_PATH",
    "LOGOUT_PATH",
    "SIGNALS_SOCKET",
    "SSF_CONFIGURATION_PATH",
    "SSF_PREFIX",
    "TETHER_SOCKET",
    "TRANSMITTER_SOCKET",
    "Ads",
    "EdgeState",
    "EnvoyAdmin",
    "EnvoyMissing",
    "Snapshot",
    "TlsMaterial",
    "bootstrap",
    "envoy_binary",
    "envoy_command",
    "judge_socket",
    "resources",
]
