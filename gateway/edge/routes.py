"""Routes and clusters: which requests go to which service of the bank."""

from __future__ import annotations

import ipaddress
from typing import Any

from gateway.config import Config, Route, Service
from gateway.edge.bootstrap import circuit_breakers, http_protocol
from gateway.edge.filters import ANSWER_HEADERS, route_filters
from gateway.edge.listener import ROUTES


def route_configuration(config: Config) -> dict[str, Any]:
    """The one RouteConfiguration resource: the first route that matches wins, no match is 404."""
    host: dict[str, Any] = {
        "name": "bank",
        "domains": ["*"],
        "routes": [_route(route, judge=config.edge.judge) for route in config.routes],
    }
    if config.edge.judge:
        host["response_headers_to_remove"] = list(ANSWER_HEADERS)  # a service may not speak for the gateway
    return {"name": ROUTES, "virtual_hosts": [host]}


def cluster(name: str, service: Service) -> dict[str, Any]:
    """The Cluster resource of one service."""
    address = {"socket_address": {"address": service.address, "port_value": service.port}}
    return {
        "name": cluster_name(name),
        "type": "STATIC" if _is_address(service.address) else "STRICT_DNS",
        "connect_timeout": "2s",
        "circuit_breakers": circuit_breakers(),
        "typed_extension_protocol_options": http_protocol(service.protocol),
        "load_assignment": {
            "cluster_name": cluster_name(name),
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def cluster_name(service: str) -> str:
    """A service's cluster, in a name space apart from our own clusters."""
    return f"service/{service}"


def _route(route: Route, *, judge: bool) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": cluster_name(route.service)}
    if route.stream:
        action |= {"timeout": "0s", "idle_timeout": "0s"}
        action |= {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": True}]}
    filters = route_filters(route) if judge else {}
    # The route's name is its service: an access log knows it even where nothing was sent upstream.
    named = {"name": route.service, "match": {"prefix": route.prefix}, "route": action}
    return {**named, "typed_per_filter_config": filters} if filters else named


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
