"""Secrets: the edge's certificate and whose client certificates it believes, pushed like everything else that it runs
on (SDS over ADS). A listener only names them, so that another certificate or bundle closes no connection.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from gateway.config import Service, ServiceTls
from gateway.edge.address import is_address
from gateway.edge.bootstrap import ads_source
from gateway.edge.filters import any_of

SERVER = "server"
CLIENTS = "clients"
# With TLS 1.3 nothing of this can be chosen but the curves. With 1.2, only suites that have forward secrecy (ECDHE) and
# encrypt with authentication (AEAD): RFC 9325, section 4.2. The first curve withstands a quantum computer too.
_PARAMETERS = {
    "tls_minimum_protocol_version": "TLSv1_2",
    "tls_maximum_protocol_version": "TLSv1_3",
    "cipher_suites": [
        "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
        "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ],
    "ecdh_curves": ["X25519MLKEM768", "X25519", "P-256", "P-384"],
}


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What a TLS listener needs beside its settings. All in PEM."""

    certificate: bytes  # the chain, the leaf first
    key: bytes = field(repr=False)
    # Authorities of clients, and their revocation lists where there are some: then each in a client's chain needs one.
    # None means that clients are not asked for a certificate; empty, that nobody who could vouch for one is known yet.
    authorities: bytes | None = None


@dataclass(frozen=True, slots=True)
class ServiceMaterial:
    """What the edge needs for TLS to a service, beside its settings. All in PEM."""

    authorities: bytes
    certificate: bytes = b""  # the chain that the edge shows, the leaf first; empty where it shows none
    key: bytes = field(default=b"", repr=False)


def secrets(material: TlsMaterial) -> list[dict[str, Any]]:
    """The Secret resources of the listener."""
    chain, key = _inline(material.certificate), _inline(material.key)
    server = {"name": SERVER, "tls_certificate": {"certificate_chain": chain, "private_key": key}}
    if material.authorities is None:
        return [server]
    # An empty context asks for no certificate: then the gateway sees none, and refuses who has nothing else.
    known = {"trusted_ca": _inline(material.authorities)} if material.authorities else {}
    return [server, {"name": CLIENTS, "validation_context": known}]


def service_secrets(name: str, material: ServiceMaterial) -> list[dict[str, Any]]:
    """The Secret resources of one service."""
    found: list[dict[str, Any]] = [
        {"name": _authorities(name), "validation_context": {"trusted_ca": _inline(material.authorities)}}
    ]
    if material.certificate:
        chain, key = _inline(material.certificate), _inline(material.key)
        found.append({"name": _own(name), "tls_certificate": {"certificate_chain": chain, "private_key": key}})
    return found


def transport_socket(asks_certificate: bool) -> dict[str, Any]:
    """TLS on the listener. A client certificate is asked for or not, and never demanded: a bearer token will do."""
    return {"name": "envoy.transport_sockets.tls", "typed_config": _of_callers(["h2", "http/1.1"], asks_certificate)}


def quic_socket() -> dict[str, Any]:
    """TLS on the listener for HTTP/3. Envoy asks for no client certificates there, so that nobody has one."""
    quic = any_of(
        "envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport",
        downstream_tls_context=_without_type(_of_callers(["h3"], False)),
        enable_early_data=False,  # which anybody who recorded it could send again
    )
    return {"name": "envoy.transport_sockets.quic", "typed_config": quic}


def _of_callers(protocols: list[str], asks_certificate: bool) -> dict[str, Any]:
    common: dict[str, Any] = {
        "tls_params": _PARAMETERS,
        "alpn_protocols": protocols,
        "tls_certificate_sds_secret_configs": [_named(SERVER)],
    }
    if asks_certificate:
        common["validation_context_sds_secret_config"] = _named(CLIENTS)
    return any_of(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context=common,
        require_client_certificate=False,  # what is shown must verify
        # A resumed session would bring back a certificate that nobody looks at again: expired since, or revoked.
        disable_stateless_session_resumption=asks_certificate,
        disable_stateful_session_resumption=asks_certificate,
    )


def _without_type(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "@type"}


def service_socket(name: str, service: Service, tls: ServiceTls) -> dict[str, Any]:
    """TLS to a service: its certificate must verify and have the name, always. While its authorities are not known,
    there is no connection to it.
    """
    wanted = tls.server_name or service.address
    kind = _kind(wanted)
    matching = {"match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": wanted}}]}
    common: dict[str, Any] = {
        "tls_params": _PARAMETERS,
        "alpn_protocols": ["http/1.1" if service.protocol == "http1" else "h2"],
        "combined_validation_context": {
            "default_validation_context": matching,
            "validation_context_sds_secret_config": _named(_authorities(name), "5s"),
        },
    }
    if tls.certificate:
        common["tls_certificate_sds_secret_configs"] = [_named(_own(name), "5s")]
    context = any_of(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context=common,
        max_session_keys=0,  # a resumed session would not look at the certificate again
        **({"sni": wanted} if kind == "DNS" else {}),
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _kind(name: str) -> str:
    if "://" in name:
        return "URI"
    return "IP_ADDRESS" if is_address(name) else "DNS"


def _authorities(service: str) -> str:
    return f"service/{service}/authorities"


def _own(service: str) -> str:
    return f"service/{service}/certificate"


def _named(name: str, patience: str = "0s") -> dict[str, Any]:
    """`patience`: for how long Envoy waits for it before it goes on without; zero is for ever."""
    return {"name": name, "sds_config": ads_source(patience)}


def _inline(content: bytes) -> dict[str, str]:
    return {"inline_bytes": b64encode(content).decode()}
