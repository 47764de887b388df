"""A snapshot is everything that an Envoy should hold: resources by type and name, with a version of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

PREFIX = "type.googleapis.com/"
CLUSTER = PREFIX + "envoy.config.cluster.v3.Cluster"
LISTENER = PREFIX + "envoy.config.listener.v3.Listener"
ROUTES = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SECRET = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
# Make before break: a cluster is there before a route names it, and goes after the last route that did.
ORDER = (CLUSTER, LISTENER, SECRET, ROUTES)

Resources = Mapping[str, bytes]  # resource name -> serialised message
NOTHING: Resources = MappingProxyType({})


@dataclass(frozen=True)
class Snapshot:
    """Everything an Envoy should hold: type URL -> resources."""

    types: Mapping[str, Resources]

    def of(self, type_url: str) -> Resources:
        """Resources of one type; empty if there are none."""
        return self.types.get(type_url, NOTHING)

    @cached_property
    def version(self) -> str:
        """Digest of the content: the same content has the same version, in any process."""
        return _digest({type_url: version_of(self.of(type_url)).encode() for type_url in ORDER})


def version_of(resources: Resources) -> str:
    """Version of one type's resources, a digest of their content."""
    return _digest(resources)


def _digest(parts: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(parts):
        encoded = name.encode()
        digest.update(b"%d:%b%d:%b" % (len(encoded), encoded, len(parts[name]), parts[name]))
    return digest.hexdigest()[:16]
