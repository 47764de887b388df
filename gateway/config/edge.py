"""The edge: where it is reached, what is behind it, and what is asked on the way."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.values import Branch, Integer, Port, Range, Real

# What the edge and the gateway read requests by: without them nobody could prove anything, or bodies have no end.
_NEEDED = (
    *("authorization", "connection", "content-digest", "content-length", "dpop", "expect", "host", "signature"),
    *("signature-agent", "signature-input", "te", "transfer-encoding", "upgrade", "x-forwarded-for"),
)


def _stripped(text: str) -> str:
    name = text.lower()
    start, is_prefix = name.removesuffix("*"), name.endswith("*")
    for needed in _NEEDED:
        if needed == start or (is_prefix and needed.startswith(start)):
            raise PydanticCustomError("header", "would take {name} away", {"name": needed})
    return name


# A header's name, or the beginning of names before a `*`.
Stripped = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}\*?$"), AfterValidator(_stripped)]


class Tls(Branch):
    """The edge's certificate, and the authorities whose client certificates it accepts."""

    certificate: Path
    key: Path
    client_ca: Path | None = None  # clients may then show a certificate; none is refused for lack of one
    crl: Path | None = None  # revocation lists (PEM), one of each authority in a client's chain


class RateLimit(Branch):
    """How often one caller may ask: who acts, whomever it acts for."""

    requests_per_second: Annotated[Real, Field(ge=0.01, le=1_000_000)]  # in the long run
    burst: Annotated[Integer, Field(ge=1, le=1_000_000)]  # at once, after a while of nothing


class Edge(Branch):
    """Envoy: where it listens and how it reports."""

    address: str = "127.0.0.1"
    port: Port = 8443
    tls: Tls | None = None
    http3: bool = False  # on the same port over UDP too
    concurrency: Annotated[Integer, Field(ge=1, le=64)] = 1  # Envoy worker threads
    access_log_flush_ms: Annotated[Integer, Field(ge=1, le=5000)] = 25
    authorize_timeout_ms: Annotated[Integer, Field(ge=1, le=60000)] = 1000
    cache_seconds: Annotated[Real, Field(ge=0, le=60)] = 5.0  # that an answer may be given again; 0: judge each request
    cache_mb: Annotated[Integer, Field(ge=1, le=4096)] = 64  # of answers, for each worker thread
    rate_limit: RateLimit | None = None  # of each caller, over all routes that have none of their own
    max_headers_kb: Annotated[Integer, Field(ge=1, le=96)] = 60
    max_connections: Annotated[Integer, Field(ge=1, le=1_000_000)] = 50_000  # of callers at once; more are closed
    max_memory_mb: Annotated[Integer, Field(ge=64, le=1_048_576)] = 2048  # of Envoy; near it, nothing new is begun
    drain_seconds: Annotated[Integer, Field(ge=0, le=600)] = 5
    trusted_proxies: tuple[Range, ...] = ()  # HTTP proxies in front, whose X-Forwarded-For counts
    proxy_protocol_from: tuple[Range, ...] = ()  # balancers: they send PROXY headers, and nobody else may connect
    strip_headers: tuple[Stripped, ...] = ()  # that callers may not send, beside all that are known to claim something

    @model_validator(mode="after")
    def _one_way(self) -> Edge:
        # A balancer's own connections (PROXY LOCAL or UNKNOWN) carry what its callers wrote.
        for text, other in product(self.proxy_protocol_from, self.trusted_proxies):
            balancer, proxy = ip_network(text), ip_network(other)
            if balancer.version == proxy.version and balancer.overlaps(proxy):
                raise PydanticCustomError("proxies", "{one} and {other} overlap", {"one": text, "other": other})
        return self


class ServiceTls(Branch):
    """How a service proves itself to the edge, which it must, and how the edge does, where the service asks."""

    ca: Path  # authorities (PEM) that vouch for the service
    server_name: str | None = None  # a DNS name, address or URI that its certificate must have; none means its address
    certificate: Path | None = None
    key: Path | None = None


class GatewayProcesses(Branch):
    """How many processes judge."""

    workers: Annotated[Integer, Field(ge=1, le=64)] = 1  # the gateway itself, and the judges beside it


class Service(Branch):
    """One of the bank's services behind the edge."""

    address: str
    more_addresses: tuple[str, ...] = ()  # of the same service, on the same port
    port: Port
    tls: ServiceTls | None = None  # none means plain text
    max_connections: Annotated[Integer, Field(ge=1, le=1_000_000)] = 20_000  # over HTTP/1 each live stream has its own
    max_requests: Annotated[Integer, Field(ge=1, le=1_000_000)] = 20_000  # at once, live streams among them
    max_pending: Annotated[Integer, Field(ge=1, le=1_000_000)] = 4_096  # requests that wait for a connection
    protocol: Literal["http1", "http2", "grpc"] = "http1"  # policy sees every request to a grpc service as a CALL
    audience: str | None = None  # what tokens for it must be meant for; none means the issuer's own audience


class Route(Branch):
    """Which requests go to which service. The first route that matches wins."""

    prefix: str
    service: str
    stream: bool = False  # a live stream: tethered, judged for as long as it lives
    body_bytes: Annotated[Integer, Field(ge=0, le=1048576)] = 0  # body shown to policy, 0 for none; longer is 413
    max_body_kb: Annotated[Integer, Field(ge=1, le=65_536)] | None = None  # then the service gets whole requests alone
    # From a request's end to its answer's; sending it may take a minute more. Live streams have no such end.
    timeout_seconds: Annotated[Real, Field(gt=0, le=3600)] = 30.0
    rate_limit: RateLimit | None = None  # of each caller on this route, in place of the edge's
