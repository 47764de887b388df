"""What Envoy is started with: the Unix-socket clusters of ours, an admin socket, and ADS for everything else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gateway.config import Config
from gateway.edge.binary import envoy_binary
from gateway.edge.overload import overload_manager

LOG_SOCKET = "access.sock"  # what became of requests, Envoy's module -> gateway
GRPC_SOCKET = "grpc.sock"  # ADS, Envoy -> gateway
TETHER_SOCKET = "tether.sock"  # the tether, Envoy -> gateway
ADMIN_SOCKET = "envoy-admin.sock"  # Envoy's admin, gateway and supervisor -> Envoy
EXCHANGE_CLUSTER = "token-service"
EXCHANGE_SOCKET = "token.sock"
SIGNALS_CLUSTER = "signals"
SIGNALS_SOCKET = "signals.sock"  # events and logouts that are told to us, Envoy -> gateway
TRANSMITTER_CLUSTER = "transmitter"
TRANSMITTER_SOCKET = "ssf.sock"  # who hears from us, Envoy -> gateway
EXCHANGE_CONNECTIONS = 64  # to the token service; beyond it, each worker thread has at least one
GATEWAY_CLUSTER = "gateway"
TETHER_CLUSTER = "tether"

MANY = 1_000_000  # circuit breakers' bound: Envoy's own default of 1024 would cap live streams
STREAMS = 2**31 - 1  # streams on one connection to the gateway: tethers share a few connections
_SOCKET_PATH_LIMIT = 107  # bytes in sockaddr_un.sun_path, less the closing NUL
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# What the supervisor, the benchmarks and an operator read; every other statistic would only cost memory and time.
_STATS = (
    "http.edge.",
    "portcullis.",
    "listener_manager.",
    "cluster_manager.cds",
    "control_plane.",
    "server.",
    "overload.",
)


def bootstrap(config: Config, run: Path) -> dict[str, Any]:
    """Envoy's bootstrap, as its JSON, for a gateway with sockets in the folder `run`.

    Raises ValueError when `run` is too deep for a Unix socket's path.
    """
    return {
        "node": {"id": "portcullis-edge", "cluster": "portcullis"},
        "admin": {"address": _pipe(run / ADMIN_SOCKET, mode=0o600), "ignore_global_conn_limit": True},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": GATEWAY_CLUSTER, "retry_policy": _soon()}}],
            },
            "cds_config": ads_source(),
            "lds_config": ads_source(),
        },
        "static_resources": {"clusters": _clusters(run)},
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": [{"prefix": prefix} for prefix in _STATS]}},
        },
        "overload_manager": overload_manager(config.edge),
    }


def envoy_command(config: Config, run: Path) -> list[str]:
    """Write the bootstrap (mode 0600) into the folder `run`; the argument list that starts Envoy with it.

    Raises EnvoyMissing, ValueError (see `bootstrap`) and OSError when the file cannot be written.
    """
    path = run / "envoy.json"
    content = json.dumps(bootstrap(config, run), indent=1).encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return [
        str(envoy_binary()),
        *("--config-path", str(path)),
        *("--concurrency", str(config.edge.concurrency)),
        *("--drain-time-s", str(max(1, config.edge.drain_seconds))),
        *("--log-level", "warning"),
        # Not a line for each attempt to reach the gateway and each stream cut: both are counted, and we log refusals.
        *("--component-log-level", "config:error,ext_proc:error"),
        "--disable-hot-restart",
    ]


def ads_source(patience: str = "0s") -> dict[str, Any]:
    """A resource that comes over ADS. Envoy waits for it without end, for an edge without routes is never ready, or for
    a time after which what needs it stays closed alone.
    """
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": patience}


def circuit_breakers(connections: int = MANY) -> dict[str, Any]:
    """Bounds high enough that ten thousand live streams meet none of them, or so many connections, for whose turn
    requests wait.
    """
    bounds = dict.fromkeys(("max_pending_requests", "max_requests", "max_retries"), MANY)
    return {"thresholds": [{"priority": "DEFAULT", "max_connections": connections, **bounds}]}


def http_protocol(version: str) -> dict[str, Any]:
    """A cluster's protocol options: `http1`, or `http2` and `grpc`, which speaks it."""
    explicit: dict[str, Any] = {"http_protocol_options": {}}
    if version != "http1":
        explicit = {"http2_protocol_options": {"max_concurrent_streams": STREAMS}}
    options = {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}", "explicit_http_config": explicit}
    return {_HTTP_OPTIONS: options}


def judge_socket(run: Path, number: int) -> Path:
    """Where worker `number` answers the edge's questions; the gateway itself, which is 0, elsewhere too."""
    return run / f"judge-{number}.sock"


def _clusters(run: Path) -> list[dict[str, Any]]:
    return [
        _unix_cluster(GATEWAY_CLUSTER, run / GRPC_SOCKET, "http2"),
        _unix_cluster(TETHER_CLUSTER, run / TETHER_SOCKET, "http2"),
        _bounded_cluster(EXCHANGE_CLUSTER, run / EXCHANGE_SOCKET),
        _bounded_cluster(SIGNALS_CLUSTER, run / SIGNALS_SOCKET),
        _bounded_cluster(TRANSMITTER_CLUSTER, run / TRANSMITTER_SOCKET),
    ]


def _bounded_cluster(name: str, socket: Path) -> dict[str, Any]:
    """Of an endpoint that anybody may reach."""
    cluster, options = _unix_cluster(name, socket, "http1"), http_protocol("http1")
    options[_HTTP_OPTIONS]["common_http_protocol_options"] = {"idle_timeout": "5s"}  # sooner than the service cuts it
    bounded = circuit_breakers(EXCHANGE_CONNECTIONS)
    return {**cluster, "circuit_breakers": bounded, "typed_extension_protocol_options": options}


def _unix_cluster(name: str, socket: Path, version: str) -> dict[str, Any]:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _pipe(socket)}}]}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "circuit_breakers": circuit_breakers(),
        "typed_extension_protocol_options": http_protocol(version),
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
    }


def _pipe(path: Path, mode: int | None = None) -> dict[str, Any]:
    place = str(path.absolute())
    if len(os.fsencode(place)) > _SOCKET_PATH_LIMIT:
        raise ValueError(f"state folder too deep: {place} exceeds the {_SOCKET_PATH_LIMIT} bytes of a socket's path")
    return {"pipe": {"path": place} if mode is None else {"path": place, "mode": mode}}


def _soon() -> dict[str, Any]:
    # A gateway that was restarted is found again within a second, not after Envoy's default of up to thirty.
    return {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}}
