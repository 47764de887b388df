"""The filters that ask the gateway: ext_authz on requests, the tether on streams, access logs on everything."""

from __future__ import annotations

from typing import Any

from gateway.config import Edge, Identity, Route
from gateway.edge.bootstrap import AUTHZ_CLUSTER, GATEWAY_CLUSTER, TETHER_CLUSTER

EXT_AUTHZ = "envoy.filters.http.ext_authz"  # the filter's name is also its dynamic-metadata namespace
EXT_PROC = "envoy.filters.http.ext_proc"
DECISION_HEADER = "x-portcullis-decision"
EFFECT_HEADER = "x-portcullis-effect"
ROUTE_HEADER = "x-portcullis-route"  # the binding of the route for which the gateway allowed a request
IDENTITY_HEADERS = (DECISION_HEADER, "x-portcullis-subject", "x-portcullis-actor")  # what upstream is told
ADDRESS_HEADER = "x-forwarded-for"  # the caller's address: asked with, and told where proxies are trusted
ANSWER_HEADERS = (*IDENTITY_HEADERS, EFFECT_HEADER)  # what the access log has as metadata, allowed or denied
# What the gateway needs to judge, beside method, path and host, which Envoy always sends. Each one costs time.
# Never `content-type`: with `application/grpc` in it, Envoy's own client turns a gateway that is away into a gRPC
# error, which is an HTTP 200, which ext_authz reads as "allowed" (seen with 1.40).
_ASKED_HEADERS = ("authorization", "x-forwarded-client-cert", ADDRESS_HEADER)
_SIGNATURE_HEADERS = ("signature", "signature-input", "signature-agent", "content-digest")
_REFUSAL_HEADERS = ("www-authenticate", "dpop-nonce", "content-type", DECISION_HEADER)
TRANSACTION_HEADER = "txn-token"  # for the upstream alone: in no log
_RBAC = "envoy.filters.http.rbac"
_BUFFER = "envoy.filters.http.buffer"
FORM_BYTES = 64 * 1024  # the longest that the token service reads


def asked_headers(identity: Identity) -> tuple[str, ...]:
    """Headers that the gateway needs to see, for what callers may prove themselves by."""
    possession = ("dpop",) if identity.dpop else ()
    return (*_ASKED_HEADERS, *possession, *(_SIGNATURE_HEADERS if identity.signatures else ()))


def any_of(kind: str, **fields: Any) -> dict[str, Any]:
    """JSON of a protobuf Any of message type `kind`."""
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def request_filter(edge: Edge, asked: tuple[str, ...]) -> dict[str, Any]:
    """ext_authz over HTTP: each request waits for the gateway's answer, and a gateway that is away means 503."""
    return _filter(
        EXT_AUTHZ,
        any_of(
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            transport_api_version="V3",
            failure_mode_allow=False,
            status_on_error={"code": "ServiceUnavailable"},
            clear_route_cache=False,
            allowed_headers=_exactly(asked),
            http_service={
                "server_uri": {
                    "uri": "http://portcullis",
                    "cluster": AUTHZ_CLUSTER,
                    "timeout": milliseconds(edge.authorize_timeout_ms),
                },
                "authorization_response": {
                    "allowed_upstream_headers": _exactly((*IDENTITY_HEADERS, TRANSACTION_HEADER, ADDRESS_HEADER)),
                    "allowed_client_headers": _exactly(_REFUSAL_HEADERS),
                    "dynamic_metadata_from_headers": _exactly((*ANSWER_HEADERS, ROUTE_HEADER, ADDRESS_HEADER)),
                },
            },
        ),
    )


def tether_filter(edge: Edge, asked: tuple[str, ...]) -> dict[str, Any]:
    """ext_proc: one gRPC stream to the gateway for the life of the HTTP stream; when it breaks, so does the other.

    Off unless a route turns it on, so that a request that matches no route is ext_authz's.
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
    """RBAC: nothing goes on, whatever made the filters before let it pass, unless its route says what may. A request
    that matches no route was never judged, and ends here too.
    """
    return _filter(_RBAC, any_of("envoy.extensions.filters.http.rbac.v3.RBAC", rules={"action": "ALLOW"}))


def permitted(route: Route, binding: str) -> dict[str, Any]:
    """What a route changes in that: what the gateway itself called allowed goes on, if it was judged for this route."""
    namespace = EXT_PROC if route.stream else EXT_AUTHZ
    needed = [_told(namespace, EFFECT_HEADER, "allow"), _told(namespace, ROUTE_HEADER, binding)]
    judged = {"permissions": [{"any": True}], "principals": [{"and_ids": {"ids": needed}}]}
    rules = {"action": "ALLOW", "policies": {"judged": judged}}
    return {_RBAC: any_of("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", rbac={"rules": rules})}


def router() -> dict[str, Any]:
    """The last filter, which sends the request upstream."""
    return _filter(
        "envoy.filters.http.router",
        any_of("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
    )


def route_filters(route: Route, identity: Identity) -> dict[str, Any]:
    """What a route changes: a stream has the tether in place of ext_authz; a route with body shows it. Where signatures
    must cover content, other routes show its first byte: in HTTP/2 nothing else tells whether there is some.
    """
    if route.stream:
        enabled = any_of("envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute", overrides={})
        return {EXT_AUTHZ: _switch(disabled=True), EXT_PROC: _switch(config=enabled)}
    if not route.body_bytes and not identity.binds_content:
        return {}
    body = {"max_request_bytes": route.body_bytes or 1, "allow_partial_message": not route.body_bytes}
    kind = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
    return {EXT_AUTHZ: any_of(kind, check_settings={"with_request_body": body})}


def buffer_filter() -> dict[str, Any]:
    """Sends a request on once it is whole; 413 for a longer one. Off unless a route turns it on."""
    buffer = any_of("envoy.extensions.filters.http.buffer.v3.Buffer", max_request_bytes=FORM_BYTES)
    return {**_filter(_BUFFER, buffer), "disabled": True}


def unjudged() -> dict[str, Any]:
    """What a route changes that everybody may ask, and the edge itself answers."""
    return {EXT_AUTHZ: _switch(disabled=True), _RBAC: _switch(disabled=True)}


def whole(largest: int = FORM_BYTES) -> dict[str, Any]:
    """What a route changes that sends only whole requests on, of so many bytes at most: who is slow to send keeps the
    edge waiting alone.
    """
    buffer = {"max_request_bytes": largest}
    return {_BUFFER: _switch(config=any_of("envoy.extensions.filters.http.buffer.v3.BufferPerRoute", buffer=buffer))}


def access_log(edge: Edge) -> dict[str, Any]:
    """Access logs over gRPC, in batches, with the decision of each request."""
    return {
        "name": "envoy.access_loggers.http_grpc",
        "typed_config": any_of(
            "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
            common_config={
                "log_name": "edge",
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": GATEWAY_CLUSTER}},
                "buffer_flush_interval": milliseconds(edge.access_log_flush_ms),
                "buffer_size_bytes": 1048576,  # the interval flushes: few messages cost their readers less
            },
            additional_response_headers_to_log=[DECISION_HEADER],
        ),
    }


def milliseconds(count: int) -> str:
    """A protobuf Duration in JSON."""
    return f"{count / 1000:.3f}s"


def _filter(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": config}


def _told(namespace: str, name: str, value: str) -> dict[str, Any]:
    matcher = {"filter": namespace, "path": [{"key": name}], "value": {"string_match": {"exact": value}}}
    return {"sourced_metadata": {"metadata_matcher": matcher}}


def _switch(**fields: Any) -> dict[str, Any]:
    # FilterConfig leaves a filter out of the chain altogether; the filters' own `disabled` only makes them idle.
    return any_of("envoy.config.route.v3.FilterConfig", **fields)


def _exactly(names: tuple[str, ...]) -> dict[str, Any]:
    return {"patterns": [{"exact": name} for name in names]}
