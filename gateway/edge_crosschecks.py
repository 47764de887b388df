"""Checks of what the configuration says of the edge, services and routes, where one value is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.config import Config, Route, Service, ServiceTls
from gateway.yaml_document import Key

Problem = tuple[Key, str]


def edge(config: Config) -> Iterator[Problem]:
    """What does not fit together in the values."""
    if config.edge.http3 and config.edge.tls is None:
        yield ("edge", "http3"), "needs edge.tls: there is no HTTP/3 without"
    if config.edge.http3 and config.edge.proxy_protocol_from:
        yield ("edge", "http3"), "does not go with proxy_protocol_from: QUIC has no PROXY header"
    for name, service in config.services.items():
        yield from _service(("services", name), service)
    for index, route in enumerate(config.routes):
        yield from _route(("routes", index), route)


def service_files(config: Config) -> Iterator[tuple[Key, Path | None]]:
    """Files that must be there when the gateway starts."""
    for name, service in config.services.items():
        if service.tls:
            for field in ("ca", "certificate", "key"):
                yield ("services", name, "tls", field), getattr(service.tls, field)


def _service(key: Key, service: Service) -> Iterator[Problem]:
    for index, address in enumerate(service.more_addresses):
        if not _is_host(address):
            yield (*key, "more_addresses", index), "must be a host name or an address"
        elif address == service.address or address in service.more_addresses[:index]:
            yield (*key, "more_addresses", index), f"{address} is there already"
    if not _is_host(service.address):
        yield (*key, "address"), "must be a host name or an address"
    if service.tls:
        yield from _tls((*key, "tls"), service, service.tls)


def _tls(key: Key, service: Service, tls: ServiceTls) -> Iterator[Problem]:
    if (tls.certificate is None) != (tls.key is None):
        yield key, "a certificate and its key come together"
    if tls.server_name is None and service.more_addresses:
        yield (*key, "server_name"), "is required where a service has more addresses than one"
    if tls.server_name is not None and not _is_host(tls.server_name):
        yield (*key, "server_name"), "must be a DNS name, an address or a URI"


def _route(key: Key, route: Route) -> Iterator[Problem]:
    for field in ("timeout_seconds", "max_body_kb", "rate_limit"):
        if route.stream and field in route.model_fields_set:
            yield (*key, field), "is not for live streams"
    if route.max_body_kb and route.max_body_kb << 10 < route.body_bytes:
        yield (*key, "max_body_kb"), "is less than body_bytes"


def _is_host(text: str) -> bool:
    return bool(text) and text.isprintable() and " " not in text
