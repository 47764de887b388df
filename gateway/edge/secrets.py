"""Secrets: the edge's certificate and whose client certificates it believes, pushed like everything else that it runs
on (SDS over ADS). A listener only names them, so that another certificate or bundle closes no connection.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.edge.bootstrap import ads_source
from gateway.edge.filters import any_of

SERVER = "server"
CLIENTS = "clients"
_SPIFFE = "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig"


@dataclass(frozen=True, slots=True)
class Clients:
    """Whose client certificates count: PEM of authorities, and of their revocation lists where there are some. Then
    each authority in a client's chain must have one.
    """

    authorities: bytes = b""  # for certificates of any name
    domains: Mapping[str, bytes] | None = None  # by SPIFFE trust domain, instead; empty bytes for one not known yet


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What a TLS listener needs beside its settings. All in PEM."""

    certificate: bytes  # the chain, the leaf first
    key: bytes = field(repr=False)
    clients: Clients | None = None  # none means that clients are not asked for a certificate


def secrets(material: TlsMaterial) -> list[dict[str, Any]]:
    """The Secret resources."""
    chain, key = _inline(material.certificate), _inline(material.key)
    server = {"name": SERVER, "tls_certificate": {"certificate_chain": chain, "private_key": key}}
    clients = material.clients
    return [server, {"name": CLIENTS, "validation_context": _validation(clients)}] if clients else [server]


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


def _validation(clients: Clients) -> dict[str, Any]:
    if clients.domains is None:
        return {"trusted_ca": _inline(clients.authorities)}
    validator = any_of(_SPIFFE, **_trust(clients.domains))
    return {"custom_validator_config": {"name": "envoy.tls.cert_validator.spiffe", "typed_config": validator}}


def _trust(domains: Mapping[str, bytes]) -> dict[str, Any]:
    """Each domain with its own authorities: Envoy verifies a certificate against those of the domain that it claims."""
    known = [{"name": name, "trust_bundle": _inline(pem)} for name, pem in sorted(domains.items()) if pem]
    # Envoy wants one domain at least; in this other form there may be none, and then no certificate is believed.
    nobody = {"trust_bundles": {"inline_string": json.dumps({"trust_domains": {}})}}
    return {"trust_domains": known} if known else nobody


def _inline(content: bytes) -> dict[str, str]:
    return {"inline_bytes": b64encode(content).decode()}
