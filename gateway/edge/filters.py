"""The filters that ask the gateway: our module on every request, the tether on streams."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import Edge, Identity, RateLimit, Route
from gateway.edge.bootstrap import TETHER_CLUSTER
from gateway.edge.claimed import claiming
from gateway.edge.module_file import edge_module

MODULE = "portcullis"  # the filter's name
EXT_PROC = "envoy.filters.http.ext_proc"  # the filter's name is also its dynamic-metadata namespace
DECISION_HEADER = "x-portcullis-decision"
EFFECT_HEADER = "x-portcullis-effect"
ROUTE_HEADER = "x-portcullis-route"  # the binding of the route for which the gateway allowed a request
IDENTITY_HEADERS = (DECISION_HEADER, "x-portcullis-subject", "x-portcullis-actor")  # what upstream is told
ADDRESS_HEADER = "x-forwarded-for"  # the caller's address: asked with, and told where proxies are trusted
ANSWER_HEADERS = (*IDENTITY_HEADERS, EFFECT_HEADER)  # what the tether tells as metadata, allowed or denied
# What the gateway needs to judge a stream, beside method, path and host.
_ASKED_HEADERS = ("authorization", "x-forwarded-client-cert", ADDRESS_HEADER)
_SIGNATURE_HEADERS = ("signature", "signature-input", "signature-agent", "content-digest")
_RBAC = "envoy.filters.http.rbac"
_BUFFER = "envoy.filters.http.buffer"
_UNLIMITED = "0 0 0"
FORM_BYTES = 64 * 1024  # the longest that the token service reads


def asked_headers(identity: Identity) -> tuple[str, ...]:
    """Headers that the gateway needs to see, for what callers may prove themselves by."""
    possession = ("dpop",) if identity.dpop else ()
    return (*_ASKED_HEADERS, *possession, *(_SIGNATURE_HEADERS if identity.signatures else ()))


def any_of(kind: str, **fields: Any) -> dict[str, Any]:
    """JSON of a protobuf Any of message type `kind`."""
    return {"@type": f"type.googleapis.com/{kind}", **fields}


@dataclass(frozen=True, slots=True)
class Judges:
    """Whom the edge asks: so many, on their sockets in a folder."""

    run: Path
    count: int


def module_filter(edge: Edge, judges: Judges) -> dict[str, Any]:
    """Our module: each request waits for the gateway's answer or has one that still holds, and a gateway that is away
    means 503. It logs what became of every request, judged or not.
    """
    settings = {
        "run": judges.run.absolute(),
        "judges": judges.count,
        "timeout_ms": edge.authorize_timeout_ms,
        "flush_ms": edge.access_log_flush_ms,
        "cache_bytes": edge.cache_mb << 20 if edge.cache_seconds else 0,
    }
    told = [*settings.items(), *(("strip", name) for name in claiming(edge.strip_headers))]
    lines = "".join(f"{name} {value}\n" for name, value in told)
    return _filter(MODULE, _module("DynamicModuleFilter", {"filter_name": MODULE, "filter_config": _string(lines)}))


def tether_filter(edge: Edge, asked: tuple[str, ...]) -> dict[str, Any]:
    """ext_proc: one gRPC stream to the gateway for the life of the HTTP stream; when it breaks, so does the other.

    Off unless a route turns it on, so that a request that matches no route is our module's.
    """
    tether = any_of(
        "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        grpc_service={"envoy_grpc": {"cluster_name": TETHER_CLUSTER}},
        failure_mode_allow=False,
        status_on_error={"code": "ServiceUnavailable"},
        message_timeout=milliseconds(edge.authorize_timeout_ms),
        processing_mode={
            "request_header_mode": "SEND",
            "response_header_mode": "SKIP",
            "request_body_mode": "NONE",
            "response_body_mode": "NONE",
            "request_trailer_mode": "SKIP",
            "response_trailer_mode": "SEND",  # never asked for its answer in time: it holds the stream open
        },
        forward_rules={"allowed_headers": _exactly((":authority", ":method", ":path", *asked))},
        route_cache_action="RETAIN",  # a judged stream stays on the route it was judged for
        metadata_options={"receiving_namespaces": {"untyped": [EXT_PROC]}},
    )
    return {**_filter(EXT_PROC, tether), "disabled": True}


def permit_filter() -> dict[str, Any]:
    """RBAC behind the tether: only what the gateway itself called allowed for the route that it takes goes on, whatever
    made the tether let it pass.

    Off unless a route turns it on.
    """
    return {**_filter(_RBAC, any_of("envoy.extensions.filters.http.rbac.v3.RBAC")), "disabled": True}


def router() -> dict[str, Any]:
    """The last filter, which sends the request upstream."""
    return _filter(
        "envoy.filters.http.router",
        any_of("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
    )


def route_filters(route: Route, binding: str, everywhere: RateLimit | None = None) -> dict[str, Any]:
    """What a route changes: a stream has the tether in place of our module; a route with body shows it. `binding`: of
    the route, which an answer must be for (`gateway.routing`). `everywhere`: the limit of callers where the route has
    none of its own.
    """
    if route.stream:
        enabled = any_of("envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute", overrides={})
        return {MODULE: _mode("tethered"), EXT_PROC: _switch(config=enabled), _RBAC: _switch(config=_permit(binding))}
    limit = _limit(route.rate_limit, _scope(route)) if route.rate_limit else _limit(everywhere)
    return {MODULE: _mode("judged", binding, route.body_bytes, limit)}


def buffer_filter() -> dict[str, Any]:
    """Sends a request on once it is whole; 413 for a longer one. Off unless a route turns it on."""
    buffer = any_of("envoy.extensions.filters.http.buffer.v3.Buffer", max_request_bytes=FORM_BYTES)
    return {**_filter(_BUFFER, buffer), "disabled": True}


def unjudged() -> dict[str, Any]:
    """What a route changes that everybody may ask, and the edge itself answers."""
    return {MODULE: _mode("open")}


def whole(largest: int = FORM_BYTES) -> dict[str, Any]:
    """What a route changes that sends only whole requests on, of so many bytes at most: who is slow to send keeps the
    edge waiting alone.
    """
    buffer = {"max_request_bytes": largest}
    return {_BUFFER: _switch(config=any_of("envoy.extensions.filters.http.buffer.v3.BufferPerRoute", buffer=buffer))}


def milliseconds(count: int) -> str:
    """A protobuf Duration in JSON."""
    return f"{count / 1000:.3f}s"


def _filter(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": config}


def _module(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """A message of Envoy's about our module; as a TypedStruct, for the stubs that there are know of no file."""
    # Never closed: its thread runs as long as Envoy does.
    local = {"local": {"filename": str(edge_module())}}
    loaded = {"module": local, "do_not_close": True, "metrics_namespace": MODULE}
    url = f"type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.{kind}"
    return any_of("xds.type.v3.TypedStruct", type_url=url, value={"dynamic_module_config": loaded, **config})


def _mode(mode: str, binding: str = "-", body_bytes: int = 0, limit: str = _UNLIMITED) -> dict[str, Any]:
    """Who judges on a route: our module, the tether, or nobody (`gateway/edge/module/filter.c`)."""
    told = {"filter_name": MODULE, "filter_config": _string(f"{mode} {binding} {body_bytes} {limit}")}
    return _module("DynamicModuleFilterPerRoute", told)


def _limit(limit: RateLimit | None, scope: str = "0") -> str:
    """Nanoseconds between requests, how many may come at once, and what is counted together."""
    return f"{round(1e9 / limit.requests_per_second)} {limit.burst} {scope}" if limit else _UNLIMITED


def _scope(route: Route) -> str:
    """A number, hexadecimal and never 0, that stays a route's own wherever it moves in the list."""
    return "1" + hashlib.sha256(route.prefix.encode()).hexdigest()[:15]


def _string(value: str) -> dict[str, Any]:
    return any_of("google.protobuf.StringValue", value=value)


def _permit(binding: str) -> dict[str, Any]:
    needed = [_told(EFFECT_HEADER, "allow"), _told(ROUTE_HEADER, binding)]
    judged = {"permissions": [{"any": True}], "principals": [{"and_ids": {"ids": needed}}]}
    rules = {"action": "ALLOW", "policies": {"judged": judged}}
    return any_of("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", rbac={"rules": rules})


def _told(name: str, value: str) -> dict[str, Any]:
    matcher = {"filter": EXT_PROC, "path": [{"key": name}], "value": {"string_match": {"exact": value}}}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _switch(**fields: Any) -> dict[str, Any]:
    # FilterConfig leaves a filter out of the chain altogether; the filters' own `disabled` only makes them idle.
    return any_of("envoy.config.route.v3.FilterConfig", **fields)


def _exactly(names: tuple[str, ...]) -> dict[str, Any]:
    return {"patterns": [{"exact": name} for name in names]}
