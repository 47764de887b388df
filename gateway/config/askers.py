"""Who else may ask for decisions, and over which sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from gateway.config.values import Branch, Integer, Port, Real


class LocalSocket(Branch):
    """A Unix socket for others on this host."""

    path: Path | None = None  # none means one in run/ in the state folder, named after its branch
    group: str | None = None  # whose members may ask too; none means this uid and root alone


class MutualTls(Branch):
    """Both sides prove themselves."""

    certificate: Path
    key: Path
    client_ca: Path
    clients: tuple[str, ...] = ()  # DNS names and URIs, one of which a client's certificate has; none means any


class DecisionsTcp(Branch):
    """A port for other enforcement points in the network."""

    address: str = "127.0.0.1"
    port: Port = 8282
    tls: MutualTls


class Decisions(Branch):
    """The decision API (AuthZEN's and OPA's) for enforcement points that are not ours."""

    unix: LocalSocket | None = None
    tcp: DecisionsTcp | None = None
    token: SecretStr | None = None  # beside the socket's or the certificate's proof
    token_file: Path | None = None
    url: str | None = None  # what AuthZEN's metadata calls us
    paths: tuple[str, ...] = ("portcullis",)  # below which OPA's clients may ask, "" for everything
    max_body_kb: Annotated[Integer, Field(ge=1, le=1024)] = 256
    max_connections: Annotated[Integer, Field(ge=1, le=4096)] = 128
    max_evaluations: Annotated[Integer, Field(ge=1, le=10000)] = 100  # in one request
    request_seconds: Annotated[Real, Field(gt=0, le=60)] = 5.0  # from a request's first byte to its answer's last


class MeshTcp(Branch):
    """A port for other Envoys in the network."""

    address: str = "127.0.0.1"
    port: Port = 8283
    tls: MutualTls


class Mesh(Branch):
    """The bank's own Envoys, or Istio's: they ask over gRPC what our edge asks (ext_authz, ext_proc, access logs)."""

    unix: LocalSocket | None = None
    tcp: MeshTcp | None = None
    max_connections: Annotated[Integer, Field(ge=1, le=65_536)] = 1024  # to each socket; an Envoy has one a worker
    max_streams: Annotated[Integer, Field(ge=100, le=1_000_000)] = 10_000  # at once on one connection
    ping_seconds: Annotated[Real, Field(gt=0, le=60)] = 5.0  # after which who says nothing is asked, and then cut
    idle_seconds: Annotated[Real, Field(gt=0, le=86_400)] = 900.0  # without a stream, until a connection ends
