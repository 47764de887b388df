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
    EXCHANGE_CONNECTIONS,
    EXCHANGE_SOCKET,
    GRPC_SOCKET,
    LOG_SOCKET,
    SIGNALS_SOCKET,
    TETHER_SOCKET,
    TRANSMITTER_SOCKET,
    bootstrap,
    envoy_command,
    judge_socket,
)
from gateway.edge.claimed import Claims
from gateway.edge.discovery import EdgeState
from gateway.edge.epochs import EPOCHS_FILE, Epochs, bucket
from gateway.edge.filters import EXT_PROC
from gateway.edge.health import EnvoyAdmin
from gateway.edge.module_file import ModuleMissing
from gateway.edge.resources import resources
from gateway.edge.routes import (
    EVENTS_PATH,
    EXCHANGE_PATH,
    JWKS_PATH,
    LOGOUT_PATH,
    SSF_CONFIGURATION_PATH,
    SSF_PREFIX,
)
from gateway.edge.secrets import ServiceMaterial, TlsMaterial
from gateway.edge.snapshot import Snapshot

__all__ = [
    "ADMIN_SOCKET",
    "EPOCHS_FILE",
    "EVENTS_PATH",
    "EXCHANGE_CONNECTIONS",
    "EXCHANGE_PATH",
    "EXCHANGE_SOCKET",
    "EXT_PROC",
    "GRPC_SOCKET",
    "JWKS_PATH",
    "LOGOUT_PATH",
    "LOG_SOCKET",
    "SIGNALS_SOCKET",
    "SSF_CONFIGURATION_PATH",
    "SSF_PREFIX",
    "TETHER_SOCKET",
    "TRANSMITTER_SOCKET",
    "Ads",
    "Claims",
    "EdgeState",
    "EnvoyAdmin",
    "EnvoyMissing",
    "Epochs",
    "ModuleMissing",
    "ServiceMaterial",
    "Snapshot",
    "TlsMaterial",
    "bootstrap",
    "bucket",
    "envoy_binary",
    "envoy_command",
    "judge_socket",
    "resources",
]
