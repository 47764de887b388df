"""The listener: where the edge is reached, and how it reads HTTP before anything is asked or routed."""

from __future__ import annotations

from typing import Any

from gateway.config import Edge, Identity
from gateway.edge.bootstrap import ads_source
from gateway.edge.filters import (
    Judges,
    any_of,
    asked_headers,
    buffer_filter,
    module_filter,
    permit_filter,
    router,
    tether_filter,
)
from gateway.edge.secrets import quic_socket, transport_socket

LISTENER = "edge"
_HTTP3_LISTENER = "edge-http3"
ROUTES = "edge"
_BUFFER = 64 * 1024  # bytes kept for a slow peer; our module raises it on routes with a longer body
_WINDOW = 64 * 1024  # bytes of HTTP/2 flow control for one stream
_CONNECTION_WINDOW = 1024 * 1024
_STREAMS = 10_000  # live HTTP/2 streams on one client connection
_HTTP3_STREAMS = 1_000
_HANDSHAKE = "10s"  # for TLS, and for a balancer's PROXY header
_IDLE = "400s"  # longer than balancers keep connections (AWS's 350 s), which would else send on one that is closed
_HEADERS = 100  # lines in a request's head


def listeners(edge: Edge, identity: Identity, judges: Judges | None, asks_certificate: bool) -> list[dict[str, Any]]:
    """The Listener resources. `judges`: None for nobody. `asks_certificate`:
    whether clients may show one, where the edge speaks TLS.
    """
    manager = connection_manager(edge, identity, judges, asks_certificate)
    return [_over_tcp(edge, manager, asks_certificate), *([_over_udp(edge, manager)] if edge.http3 else [])]


def _over_tcp(edge: Edge, manager: dict[str, Any], asks_certificate: bool) -> dict[str, Any]:
    chain: dict[str, Any] = {
        "filters": [_filter(manager)],
        "transport_socket_connect_timeout": _HANDSHAKE,
        **_only_from(edge.proxy_protocol_from),
    }
    if edge.tls:
        chain["transport_socket"] = transport_socket(asks_certificate)
    return {
        "name": LISTENER,
        "address": {"socket_address": {"address": edge.address, "port_value": edge.port}},
        "per_connection_buffer_limit_bytes": _BUFFER,
        "listener_filters_timeout": _HANDSHAKE,
        "filter_chains": [chain],
        **({"listener_filters": [_proxy_protocol()]} if edge.proxy_protocol_from else {}),
    }


def _over_udp(edge: Edge, manager: dict[str, Any]) -> dict[str, Any]:
    """HTTP/3, read and judged as the rest is."""
    windows = {
        "max_concurrent_streams": _HTTP3_STREAMS,
        "initial_stream_window_size": _WINDOW,
        "initial_connection_window_size": _CONNECTION_WINDOW,
    }
    http3 = {**manager, "codec_type": "HTTP3", "http3_protocol_options": {"quic_protocol_options": windows}}
    quic = {
        "quic_protocol_options": windows,
        "idle_timeout": _IDLE,
        "crypto_handshake_timeout": _HANDSHAKE,
    }
    address = {"protocol": "UDP", "address": edge.address, "port_value": edge.port}
    return {
        "name": _HTTP3_LISTENER,
        "address": {"socket_address": address},
        "per_connection_buffer_limit_bytes": _BUFFER,
        "udp_listener_config": {"quic_options": quic},
        "filter_chains": [{"filters": [_filter(http3)], "transport_socket": quic_socket()}],
    }


def _filter(manager: dict[str, Any]) -> dict[str, Any]:
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def connection_manager(edge: Edge, identity: Identity, judges: Judges | None, asks_certificate: bool) -> dict[str, Any]:
    """HTTP as the edge reads it: one path for one resource, no header that lies about us, bounds on everything."""
    return any_of(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="edge",
        rds={"route_config_name": ROUTES, "config_source": ads_source()},
        http_filters=[*(_asking(edge, judges, asked_headers(identity)) if judges else []), router()],
        **_client(edge, judges is not None, asks_certificate),
        **_path(),
        **_bounds(edge),
    )


def _asking(edge: Edge, judges: Judges, asked: tuple[str, ...]) -> list[dict[str, Any]]:
    return [buffer_filter(), module_filter(edge, judges), tether_filter(edge, asked), permit_filter()]


def _client(edge: Edge, judge: bool, asks_certificate: bool) -> dict[str, Any]:
    """The caller is who opened the connection, or whom its PROXY header names, and has the certificate it showed.

    What trusted proxies say of its address is for the gateway to read; Envoy itself believes no header.
    """
    details = {"uri": True, "chain": True} if asks_certificate else {}
    return {
        "use_remote_address": True,
        "internal_address_config": {"unix_sockets": False},
        **({"skip_xff_append": True, "early_header_mutation_extensions": [_sanitize(edge)]} if judge else {}),
        "forward_client_cert_details": "SANITIZE_SET" if asks_certificate else "SANITIZE",
        **({"set_current_client_cert_details": details} if asks_certificate else {}),
    }


def _path() -> dict[str, Any]:
    return {
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",  # upstreams do not agree on what %2F is
        "strip_trailing_host_dot": True,
    }


def _bounds(edge: Edge) -> dict[str, Any]:
    return {
        "max_request_headers_kb": edge.max_headers_kb,
        "request_headers_timeout": "10s",
        "delayed_close_timeout": "0.005s",  # Envoy's 1 s would be the time that a cut takes on HTTP/1
        "stream_idle_timeout": "300s",  # stream routes have none
        "common_http_protocol_options": {
            "idle_timeout": _IDLE,
            "max_headers_count": _HEADERS,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": _STREAMS,
            "initial_stream_window_size": _WINDOW,
            "initial_connection_window_size": _CONNECTION_WINDOW,
        },
        "upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}],  # stream routes turn it on
        "server_header_transformation": "OVERWRITE",
        "server_name": "portcullis",
    }


def _only_from(ranges: tuple[str, ...]) -> dict[str, Any]:
    """Who else connects is closed on: it could name any address in its PROXY header."""
    if not ranges:
        return {}
    parts = (text.split("/") for text in ranges)
    spans = [{"address_prefix": prefix, "prefix_len": int(length)} for prefix, length in parts]
    return {"filter_chain_match": {"direct_source_prefix_ranges": spans}}


def _proxy_protocol() -> dict[str, Any]:
    """Every connection starts with a PROXY header, of version 1 or 2, or ends."""
    kind = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
    return {"name": "envoy.filters.listener.proxy_protocol", "typed_config": any_of(kind)}


def _sanitize(edge: Edge) -> dict[str, Any]:
    """Before anything reads a header, `x-forwarded-for` ends with who connected. What else a caller claims to be goes
    in our module.

    That is all it says, unless the configuration trusts proxies: then the gateway reads what is before it, and its
    answer takes the header's place.

    Envoy's own way would append to what the caller claims, and name its own host in place of a loopback caller. A
    header that is there before Envoy looks also makes every caller external, so that x-envoy-* headers are dropped.
    """
    which = "" if edge.proxy_protocol_from else "DIRECT_"  # whose packets these are, whatever a PROXY header says
    caller = {"key": "x-forwarded-for", "value": f"%DOWNSTREAM_{which}REMOTE_ADDRESS_WITHOUT_PORT%"}
    action = "APPEND_IF_EXISTS_OR_ADD" if edge.trusted_proxies else "OVERWRITE_IF_EXISTS_OR_ADD"
    mutations = [{"append": {"header": caller, "append_action": action}}]
    kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": any_of(kind, mutations=mutations),
    }
