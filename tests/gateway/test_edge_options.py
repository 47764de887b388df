"""What may be written of the edge, services and routes; and what a change of it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config import Config, Decisions, LocalSocket, Route, Service
from gateway.configuration import ConfigurationError, load, parse
from gateway.configuration_changes import changed, needs_restart

EDGE = "edge: {%s}\nservices:\n  bank: {address: 10.0.0.1, port: 9000%s}\nroutes:\n  - {prefix: /, service: bank%s}\n"


def told(edge: str = "", service: str = "", route: str = "") -> str:
    """The problems; empty if there is none."""
    try:
        parse((EDGE % (edge, service and f", {service}", route and f", {route}")).encode(), "bank.yaml", {})
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("edge", "service", "route"),
    [
        ("http3: true, tls: {certificate: c, key: k}", "", ""),
        ("max_connections: 10, max_memory_mb: 512", "", ""),
        ("", "more_addresses: [10.0.0.2, bank.example]", ""),
        ("", "more_addresses: [10.0.0.2], tls: {ca: a, server_name: bank.example}", ""),
        ("", "tls: {ca: a, certificate: c, key: k}", ""),
        ("", "tls: {ca: a, server_name: 'spiffe://bank.example/accounts'}", ""),
        ("", "max_connections: 1, max_requests: 1, max_pending: 1", ""),
        ("rate_limit: {requests_per_second: 0.5, burst: 1}", "", "rate_limit: {requests_per_second: 100, burst: 1000}"),
        ("", "", "timeout_seconds: 0.5, max_body_kb: 1, body_bytes: 1024"),
    ],
)
def test_what_fits_together_is_accepted(edge: str, service: str, route: str) -> None:
    assert told(edge, service, route) == ""


@pytest.mark.parametrize(
    ("edge", "service", "route", "why"),
    [
        ("http3: true", "", "", "edge.http3: needs edge.tls: there is no HTTP/3 without"),
        (
            "http3: true, tls: {certificate: c, key: k}, proxy_protocol_from: [10.0.0.0/8]",
            "",
            "",
            "edge.http3: does not go with proxy_protocol_from: QUIC has no PROXY header",
        ),
        ("", "more_addresses: ['']", "", "more_addresses.0: must be a host name or an address"),
        ("", "more_addresses: [10.0.0.1]", "", "more_addresses.0: 10.0.0.1 is there already"),
        ("", "more_addresses: [10.0.0.2, 10.0.0.2]", "", "more_addresses.1: 10.0.0.2 is there already"),
        ("", "tls: {certificate: c, key: k}", "", "services.bank.tls.ca: is required"),
        ("", "tls: {ca: a, key: k}", "", "services.bank.tls: a certificate and its key come together"),
        ("", "tls: {ca: a, server_name: ''}", "", "services.bank.tls.server_name: must be a DNS name, an address or"),
        (
            "",
            "tls: {ca: a}, more_addresses: [10.0.0.2]",
            "",
            "services.bank.tls.server_name: is required where a service has more addresses than one",
        ),
        ("", "tls: {ca: a, verify: false}", "", "services.bank.tls.verify: unknown key"),
        ("", "", "stream: true, timeout_seconds: 5", "routes.0.timeout_seconds: is not for live streams"),
        ("", "", "stream: true, max_body_kb: 5", "routes.0.max_body_kb: is not for live streams"),
        (
            "",
            "",
            "stream: true, rate_limit: {requests_per_second: 1, burst: 1}",
            "routes.0.rate_limit: is not for live streams",
        ),
        ("rate_limit: {requests_per_second: 1}", "", "", "edge.rate_limit.burst: is required"),
        ("rate_limit: {requests_per_second: 0, burst: 1}", "", "", "edge.rate_limit.requests_per_second: should be"),
        ("", "", "max_body_kb: 1, body_bytes: 1025", "routes.0.max_body_kb: is less than body_bytes"),
        ("", "", "timeout_seconds: 0", "routes.0.timeout_seconds: should be greater than 0"),
        ("max_memory_mb: 1", "", "", "edge.max_memory_mb: should be greater than or equal to 64"),
    ],
)
def test_what_does_not_is_told(edge: str, service: str, route: str, why: str) -> None:
    assert why in told(edge, service, route)


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    file = tmp_path / "bank.yaml"
    file.write_text(f"state: {tmp_path}\n" + EDGE % ("", ", tls: {ca: a.pem, certificate: c.pem, key: k.pem}", ""))
    with pytest.raises(ConfigurationError) as error:
        load(file, {})
    assert [problem.split(": ")[1] for problem in error.value.problems] == [
        f"services.bank.tls.{name}" for name in ("ca", "certificate", "key")
    ]


def test_changes_are_named_by_their_keys_and_never_by_their_values() -> None:
    services = {"bank": Service(address="10.0.0.1", port=1)}
    before = Config(
        services=services,
        routes=(Route(prefix="/", service="bank"),),
        decisions=Decisions(unix=LocalSocket(), token=SecretStr("a" * 16)),
    )
    assert changed(before, before.model_copy()) == []
    token = before.decisions and before.decisions.model_copy(update={"token": SecretStr("b" * 16)})
    moved = {"bank": services["bank"].model_copy(update={"port": 2}), "more": services["bank"]}
    after = before.model_copy(
        update={
            "services": moved,
            "routes": (Route(prefix="/", service="bank", stream=True),),
            "edge": before.edge.model_copy(update={"port": 1}),
            "decisions": token,
            "metrics_port": 9,
        }
    )
    keys = changed(before, after)
    assert keys == [
        *("edge.port", "services.bank.port", "services.more", "routes.0.stream", "decisions.token", "metrics_port")
    ]
    assert [key for key in keys if needs_restart(key)] == ["edge.port", "decisions.token", "metrics_port"]
