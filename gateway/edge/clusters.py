"""Clusters: the services of the bank, how they are reached, and how much of the edge one of them may take."""

from __future__ import annotations

from typing import Any

from gateway.config import Service
from gateway.edge.address import is_address
from gateway.edge.bootstrap import http_protocol
from gateway.edge.secrets import service_socket

_BUFFER = 64 * 1024  # bytes of an answer kept for a caller who is slow to read it; Envoy's default is 1 MiB
_WINDOW = 64 * 1024  # the same of one HTTP/2 stream
_CONNECTION_WINDOW = 2**31 - 1  # who is slow on one HTTP/2 stream takes nothing from the others of its connection
_STREAMS = 2**31 - 1  # on one HTTP/2 connection: max_requests bounds them all
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(name: str, service: Service) -> dict[str, Any]:
    """The Cluster resource of one service."""
    addresses = (service.address, *service.more_addresses)
    return {
        "name": cluster_name(name),
        "type": "STATIC" if all(map(is_address, addresses)) else "STRICT_DNS",
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        "per_connection_buffer_limit_bytes": _BUFFER,
        "circuit_breakers": _bounds(service),
        "outlier_detection": _outliers(),
        # A connection whose other end vanished without a word is noticed after half a minute, not after hours. By TCP:
        # gRPC's servers close a connection on which somebody sends HTTP/2's PING more often than every five minutes.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 15, "keepalive_interval": 5, "keepalive_probes": 3}
        },
        "typed_extension_protocol_options": _protocol(service.protocol),
        **({"transport_socket": service_socket(name, service, service.tls)} if service.tls else {}),
        "load_assignment": {
            "cluster_name": cluster_name(name),
            "endpoints": [{"lb_endpoints": [_endpoint(address, service.port) for address in addresses]}],
        },
    }


def cluster_name(service: str) -> str:
    """A service's cluster, in a name space apart from our own clusters."""
    return f"service/{service}"


def _endpoint(address: str, port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}


def _bounds(service: Service) -> dict[str, Any]:
    """A service that answers slowly, or not at all, keeps this much waiting; beyond it is 503 at once."""
    bounds = {
        "max_connections": service.max_connections,
        "max_requests": service.max_requests,
        "max_pending_requests": service.max_pending,
        "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3},
    }
    return {"thresholds": [{"priority": "DEFAULT", **bounds}]}


def _outliers() -> dict[str, Any]:
    """An address that fails five times in a row has a rest, while at least half of them work.

    Only what says that the address itself is away or overrun counts: 502, 503 and 504, and what never was answered. A
    500 may be what a caller made of the service, and would let him take it down address by address.
    """
    return {
        "consecutive_gateway_failure": 5,
        "enforcing_consecutive_gateway_failure": 100,
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 5,
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "2s",
        "base_ejection_time": "5s",
        "max_ejection_time": "60s",
        "max_ejection_percent": 50,
    }


def _protocol(version: str) -> dict[str, Any]:
    options = http_protocol(version)
    if version != "http1":
        options[_HTTP_OPTIONS]["explicit_http_config"]["http2_protocol_options"] = {
            "max_concurrent_streams": _STREAMS,
            "initial_stream_window_size": _WINDOW,
            "initial_connection_window_size": _CONNECTION_WINDOW,
        }
    return options
