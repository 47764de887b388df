"""Routes: which requests go to which service of the bank, for how long, and how often."""

from __future__ import annotations

from typing import Any

from gateway.config import Config, Edge, Route
from gateway.edge.bootstrap import EXCHANGE_CLUSTER, SIGNALS_CLUSTER, TRANSMITTER_CLUSTER
from gateway.edge.clusters import cluster_name
from gateway.edge.filters import (
    ANSWER_HEADERS,
    DECISION_HEADER,
    EXT_PROC,
    FORM_BYTES,
    route_filters,
    unjudged,
    whole,
)
from gateway.edge.listener import ROUTES
from gateway.edge.retries import retried
from gateway.routing import binding

JWKS_PATH = "/.well-known/portcullis/jwks.json"
EVENTS_PATH = "/.well-known/portcullis/events"
LOGOUT_PATH = "/.well-known/portcullis/logout"
SSF_CONFIGURATION_PATH = "/.well-known/ssf-configuration"
SSF_PREFIX = "/.well-known/portcullis/ssf/"
EXCHANGE_PATH = "/.well-known/portcullis/token"
_EVENT_BYTES = 2 << 20  # more than the endpoints take: what is too large has their own answer
_SIGNALS = ((EVENTS_PATH, "/events"), (LOGOUT_PATH, "/logout"))
_TRANSMITTER: tuple[tuple[dict[str, Any], str], ...] = (
    ({"path": SSF_CONFIGURATION_PATH}, "/ssf/configuration"),
    ({"prefix": SSF_PREFIX}, "/ssf/"),
)
_SENDING = 60.0  # seconds that a caller has, beside the route's own, to send a request
OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"


def route_configuration(config: Config, judge: bool, jwks: str = "") -> dict[str, Any]:
    """The one RouteConfiguration resource: the first route that matches wins. `jwks`: the keys that sign transaction
    tokens, as JSON, which the edge itself answers with for whoever asks.
    """
    routes = [one for route in config.routes for one in _routes(route, config if judge else None)]
    if judge and jwks:
        routes.insert(0, _published(jwks))
    if judge and config.token_service:
        routes.insert(0, _ours("token-service", {"path": EXCHANGE_PATH}, EXCHANGE_CLUSTER, "/token"))
    if judge and (config.signals.transmitters or config.signals.logout):
        routes[:0] = [_ours("signals", {"path": path}, SIGNALS_CLUSTER, at, most=_EVENT_BYTES) for path, at in _SIGNALS]
    if judge and config.signals_transmitter:
        routes[:0] = [
            _ours("transmitter", match, TRANSMITTER_CLUSTER, at, "30s", _EVENT_BYTES) for match, at in _TRANSMITTER
        ]
    return {
        "name": ROUTES,
        "virtual_hosts": [{"name": "bank", "domains": ["*"], "routes": routes}],
        **(_alternative(config.edge) if config.edge.http3 else {}),
    }


def _alternative(edge: Edge) -> dict[str, Any]:
    """Tell callers that there is HTTP/3 (RFC 7838), for a day."""
    told = {"key": "alt-svc", "value": f'h3=":{edge.port}"; ma=86400'}
    return {"response_headers_to_add": [{"header": told, "append_action": OVERWRITE}]}


def _routes(route: Route, judged: Config | None) -> list[dict[str, Any]]:
    """The Route resources of one route of the configuration, by which it is judged."""
    one = _route(route) if judged is None else _judged(route, judged)
    return [one] if route.stream else retried(one)


def _route(route: Route) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": cluster_name(route.service)}
    if route.stream:
        action |= {"timeout": "0s", "idle_timeout": "0s"}
        action |= {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": True}]}
    else:
        seconds = f"{route.timeout_seconds:.3f}s"
        whole = {"max_stream_duration": f"{_SENDING + route.timeout_seconds:.3f}s"}
        action |= {"timeout": seconds, "idle_timeout": seconds, "max_stream_duration": whole}
    # The route's name is its service: an access log knows it even where nothing was sent upstream.
    return {"name": route.service, "match": {"prefix": route.prefix}, "route": action}


def _judged(route: Route, config: Config) -> dict[str, Any]:
    bound = binding(route, config.services[route.service])
    bounded = whole(route.max_body_kb << 10) if route.max_body_kb else {}
    filters = {**route_filters(route, bound, config.edge.rate_limit), **bounded}
    return {**_route(route), "typed_per_filter_config": filters, **(_told() if route.stream else {})}


def _told() -> dict[str, Any]:
    """What the caller of a stream is told of its decision; elsewhere our module says it."""
    decision = {"key": DECISION_HEADER, "value": f"%DYNAMIC_METADATA({EXT_PROC}:{DECISION_HEADER})%"}
    return {
        "request_headers_to_remove": ["x-envoy-external-address"],  # Envoy's own idea, which may be a proxy's
        "response_headers_to_remove": list(ANSWER_HEADERS),  # a service may not speak for the gateway
        "response_headers_to_add": [{"header": decision}],
    }


def _ours(
    name: str, match: dict[str, Any], cluster: str, rewrite: str, longest: str = "10s", most: int = FORM_BYTES
) -> dict[str, Any]:
    """An endpoint of the gateway's own, which judges for itself whom it answers. `most`: bytes of a request."""
    return {
        "name": name,
        "match": match,
        "route": {
            "cluster": cluster,
            "prefix_rewrite": rewrite,
            "timeout": "0s",
            "max_stream_duration": {"max_stream_duration": longest},  # from the first byte to the answer's last
        },
        "typed_per_filter_config": unjudged() | whole(most),
    }


def _published(jwks: str) -> dict[str, Any]:
    return {
        "name": "jwks",
        "match": {"path": JWKS_PATH},
        "direct_response": {"status": 200, "body": {"inline_string": jwks}},
        "typed_per_filter_config": unjudged(),
        "response_headers_to_add": [
            {"header": {"key": "content-type", "value": "application/json"}, "append_action": OVERWRITE},
            {"header": {"key": "cache-control", "value": "max-age=300"}, "append_action": OVERWRITE},
        ],
    }
