"""Secrets: the edge's certificate and whose client certificates it believes, pushed like everything else that it runs
on (SDS over ADS). A listener only names them, so that another certificate or bundle closes no connection.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from gateway.edge.bootstrap import ads_source
from gateway.edge.filters import any_of

SERVER = "server"
CLIENTS = "clients"


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What a TLS listener needs beside its settings. All in PEM."""

    certificate: bytes  # the chain, the leaf first
    key: bytes = field(repr=False)
    # Authorities of clients, and their revocation lists where there are some: then each in a client's chain needs one.
    # None means that clients are not asked for a certificate; empty, that nobody who could vouch for one is known yet.
    authorities: bytes | None = None


def secrets(material: TlsMaterial) -> list[dict[str, Any]]:
    """The Secret resources."""
    chain, key = _inline(material.certificate), _inline(material.key)
    server = {"name": SERVER, "tls_certificate": {"certificate_chain": chain, "private_key": key}}
    if material.authorities is None:
        return [server]
    # An empty context asks for no certificate: then the gateway sees none, and refuses who has nothing else.
    known = {"trusted_ca": _inline(material.authorities)} if material.authorities else {}
    return [server, {"name": CLIENTS, "validation_context": known}]


def transport_socket(asks_certificate: bool) -> dict[str, Any]:
    """TLS on the listener. A client certificate is asked for or not, and never demanded: a bearer token will do."""
    common: dict[str, Any] = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [_named(SERVER)],
    }
    if asks_certificate:
        common["validation_context_sds_secret_config"] = _named(CLIENTS)
    context = any_of(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context=common,
        require_client_certificate=False,  # what is shown must verify
        # A resumed session would bring back a certificate that nobody looks at again: expired since, or revoked.
        disable_stateless_session_resumption=asks_certificate,
        disable_stateful_session_resumption=asks_certificate,
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "sds_config": ads_source()}


def _inline(content: bytes) -> dict[str, str]:
    return {"inline_bytes": b64encode(content).decode()}
