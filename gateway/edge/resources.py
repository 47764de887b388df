"""From the configuration to what the edge runs on: its listeners, one set of routes, and a cluster for each service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

# Imported for their descriptors: JSON of a protobuf Any can only be read if its type is known.
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2  # noqa: F401
from envoy.extensions.filters.http.ext_proc.v3 import ext_proc_pb2  # noqa: F401
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2  # noqa: F401
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2  # noqa: F401
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2  # noqa: F401
from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2  # noqa: F401
from envoy.extensions.transport_sockets.tls.v3 import (
    secret_pb2,
    tls_pb2,  # noqa: F401
)
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from xds.type.v3 import typed_struct_pb2  # noqa: F401

from gateway.config import Config
from gateway.edge.clusters import cluster
from gateway.edge.filters import Judges
from gateway.edge.listener import listeners
from gateway.edge.routes import route_configuration
from gateway.edge.secrets import ServiceMaterial, TlsMaterial, secrets, service_secrets
from gateway.edge.snapshot import CLUSTER, LISTENER, ROUTES, SECRET, Snapshot

NO_MATERIAL: Final[Mapping[str, ServiceMaterial]] = MappingProxyType({})


def resources(
    config: Config,
    judge: bool = True,
    tls: TlsMaterial | None = None,
    jwks: str = "",
    services: Mapping[str, ServiceMaterial] = NO_MATERIAL,
) -> Snapshot:
    """The edge's resources. The same configuration gives the same bytes, and so the same version.

    With `edge.tls` in the configuration, `tls` is what its files hold now; an edge without it is never ready. Without
    `judge` it is Envoy as it is, for a benchmark's peer: nothing asked and nothing logged. `jwks`: the keys of
    transaction tokens, as the edge publishes them. `services`: what the files of those with TLS hold now; one that is
    not there is not connected to.

    Raises ValueError when a route names a service that the configuration does not have.
    """
    missing = sorted({route.service for route in config.routes} - config.services.keys())
    if missing:
        raise ValueError(f"routes name services that do not exist: {', '.join(missing)}")
    return Snapshot(
        {
            CLUSTER: _named(cluster_pb2.Cluster, *(cluster(*service) for service in sorted(config.services.items()))),
            LISTENER: _named(
                listener_pb2.Listener,
                *listeners(
                    config.edge,
                    config.identity,
                    Judges(config.state / "run", config.gateway.workers) if judge else None,
                    tls is not None and tls.authorities is not None,
                ),
            ),
            SECRET: _named(secret_pb2.Secret, *(secrets(tls) if tls else ()), *_of_services(services)),
            ROUTES: _named(route_pb2.RouteConfiguration, route_configuration(config, judge, jwks)),
        }
    )


def _of_services(services: Mapping[str, ServiceMaterial]) -> Iterator[dict[str, Any]]:
    for name, material in sorted(services.items()):
        yield from service_secrets(name, material)


def _named(kind: type[Message], *items: dict[str, Any]) -> dict[str, bytes]:
    return {item["name"]: ParseDict(item, kind()).SerializeToString(deterministic=True) for item in items}
