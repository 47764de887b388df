"""Loading the configuration: origins, overrides, and errors that name file, line and key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from defense_lines.agent.ruleset import Ruleset
from gateway.config import Config
from gateway.configuration import MASK, ConfigurationError, effective, load, parse

MESH = "{tls: {certificate: a, key: b, client_ca: c}}"
BANK = """\
services:
  accounts: {address: 127.0.0.1, port: 8080}
routes:
  - {prefix: /streams/, service: accounts, stream: true}
  - {prefix: /, service: accounts}
"""


def problems(text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode(), "bank.yaml", environ or {})
    return caught.value.problems


def origin_of(key: str, text: str, environ: Mapping[str, str] | None = None) -> tuple[object, str]:
    settings = {setting.key: setting for setting in effective(parse(text.encode(), "bank.yaml", environ or {}))}
    return settings[key].value, settings[key].origin


def test_each_value_knows_where_it_came_from() -> None:
    environ = {"PORTCULLIS__EDGE__CONCURRENCY": "3", "HOME": "/"}
    assert origin_of("edge.port", BANK) == (8443, "default")
    assert origin_of("routes.1.prefix", BANK) == ("/", "bank.yaml:5")
    assert origin_of("services.accounts.port", BANK) == (8080, "bank.yaml:2")
    assert origin_of("edge.concurrency", BANK, environ) == (3, "environment PORTCULLIS__EDGE__CONCURRENCY")


def test_a_table_may_have_every_name_that_the_firewall_takes() -> None:
    for name in ("x", "Portcullis_2", "x" * 32):
        table = parse(f"{BANK}lines: {{nftables: {{table: {name}}}}}\n".encode(), "bank.yaml", {}).config.lines.nftables
        assert table is not None
        Ruleset(table.table)


def test_the_environment_wins_and_the_exact_variable_over_the_branch() -> None:
    environ = {"PORTCULLIS__EDGE": '{"port": 1, "concurrency": 2}', "PORTCULLIS__EDGE__PORT": "7"}
    text = BANK + "edge: {port: 9, drain_seconds: 1}\n"
    config = parse(text.encode(), "bank.yaml", environ).config
    assert (config.edge.port, config.edge.concurrency, config.edge.drain_seconds) == (7, 2, 1)
    assert origin_of("edge.concurrency", text, environ)[1] == "environment PORTCULLIS__EDGE"
    assert origin_of("edge.drain_seconds", text, environ)[1] == "bank.yaml:6"


def test_secrets_are_masked() -> None:
    environ = {"PORTCULLIS__POLICY__OPA__TOKEN": "hunter2"}
    loaded = parse(BANK.encode(), "bank.yaml", environ)
    assert "hunter2" not in repr(loaded) + repr(effective(loaded))
    assert origin_of("policy.opa.token", BANK, environ) == (MASK, "environment PORTCULLIS__POLICY__OPA__TOKEN")
    environ = {"PORTCULLIS__DECISIONS__TOKEN": "hunter2-hunter2-hunter2"}
    text = BANK + "decisions: {unix: {}}"
    assert origin_of("decisions.token", text, environ) == (MASK, "environment PORTCULLIS__DECISIONS__TOKEN")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("edge: {prot: 1}", "bank.yaml:6: edge.prot: unknown key; did you mean 'port'?"),
        ("edge:\n  port: 70000", "bank.yaml:7: edge.port: should be less than or equal to 65535"),
        ("edge: {port: yes}", "bank.yaml:6: edge.port: should be a number, not yes or no"),
        ("guard: {max_ttl_seconds: on}", "bank.yaml:6: guard.max_ttl_seconds: should be a number, not yes or no"),
        ("guard: {blast_radius_share: true}", "bank.yaml:6: guard.blast_radius_share: should be a number, not yes"),
        ("edge: {port: 1}\nedge: {port: 2}", "bank.yaml:7: the key 'edge' stands already on line 6"),
        ("edge: [", "bank.yaml:7: expected the node content"),
        ("edge: &a {port: 1}", "bank.yaml:6: anchors and aliases are not read here"),
        ("edge: !!python/object:os.system {}", "bank.yaml:6: the tag"),
        ("1: 2", "bank.yaml:6: a key must be text"),
        ("edge: {port: 2024-99-99}", "bank.yaml:6: not a number or date that exists"),
        ("metrics_port: 8443", "bank.yaml:6: metrics_port: is the edge's port"),
        ("edge: {address: here}", "bank.yaml:6: edge.address: must be an IPv4 or IPv6 address"),
        ("guard: {never_block_addresses: [10.0.0.1/8]}", "bank.yaml:6: guard.never_block_addresses.0: 10.0.0.1/8 has"),
        ("lines: {nftables: {table: 'x; flush ruleset'}}", "bank.yaml:6: lines.nftables.table: must be a letter"),
        ("lines: {nftables: {table: _x}}", "bank.yaml:6: lines.nftables.table: must be a letter"),
        (f"lines: {{nftables: {{table: {'x' * 33}}}}}", "bank.yaml:6: lines.nftables.table: must be a letter"),
        ("policy: {opa: {tls: {key: k}}}", "bank.yaml:6: policy.opa.tls: a certificate and its key come together"),
        ("policy: {opa: {failures: 0}}", "bank.yaml:6: policy.opa.failures: should be greater than or equal to 1"),
        ("policy: {limits: {max_steps: 1}}", "bank.yaml:6: policy.limits.max_steps: should be greater than"),
        ("mesh: {}", "bank.yaml:6: mesh: needs a socket: unix, tcp or both"),
        ("mesh: {unix: {group: staff}}", "bank.yaml:6: mesh.unix.group: needs a path of its own"),
        (f"mesh: {{tcp: {MESH}}}", "bank.yaml:6: mesh.tcp.tls.clients: must name who may ask"),
        (f"mesh: {{tcp: {{port: 8443, {MESH[1:]}}}", "bank.yaml:6: mesh.tcp.port: is the edge's port"),
        (
            f"mesh: {{tcp: {{address: bank, {MESH[1:]}}}",
            "bank.yaml:6: mesh.tcp.address: must be an IPv4 or IPv6 address",
        ),
        ("decisions: {}", "bank.yaml:6: decisions: needs a socket: unix, tcp or both"),
        ("decisions: {unix: {group: staff}}", "bank.yaml:6: decisions.unix.group: needs a path of its own"),
        ("decisions: {unix: {}, token: short}", "bank.yaml:6: decisions.token: must have at least 16 characters"),
        (
            f"decisions: {{unix: {{}}, token: {'x' * 16}, token_file: t}}",
            "bank.yaml:6: decisions.token_file: there is a token already",
        ),
        ("decisions: {unix: {}, url: 'http://pdp'}", "bank.yaml:6: decisions.url: must be an https:// address"),
        ("decisions: {unix: {}, url: 'https://pdp/x'}", "bank.yaml:6: decisions.url: must be an https:// address"),
        ("decisions: {unix: {}, url: 'https://pdp?x'}", "bank.yaml:6: decisions.url: must be an https:// address"),
        ("decisions: {tcp: {port: 1}}", "bank.yaml:6: decisions.tcp.tls: is required"),
        (
            "decisions: {tcp: {port: 8443, tls: {certificate: c, key: k, client_ca: a}}}",
            "bank.yaml:6: decisions.tcp.port: is the edge's port, or the metrics'",
        ),
        (
            "decisions: {tcp: {address: pdp, tls: {certificate: c, key: k, client_ca: a}}}",
            "bank.yaml:6: decisions.tcp.address: must be an IPv4 or IPv6 address",
        ),
        (
            "identity: {issuers: [{issuer: i, jwks_url: /keys, audience: bank}]}",
            "bank.yaml:6: identity.issuers.0.jwks_url: must be an http:// or https:// address",
        ),
        (
            "identity: {issuers: [{issuer: i, audience: bank}]}",
            "bank.yaml:6: identity.issuers.0.jwks_url: is required where the issuer is no http:// or https:// address",
        ),
        (
            "identity: {issuers: [{issuer: 'https://i', audience: bank, introspection: {client_id: c}}]}",
            "bank.yaml:6: identity.issuers.0.introspection.client_secret: either it is here or in client_secret_file",
        ),
        (
            "identity: {issuers: [{issuer: 'https://i', audience: bank, introspection: "
            "{client_id: c, client_secret: s, url: here}}]}",
            "bank.yaml:6: identity.issuers.0.introspection.url: must be an http:// or https:// address",
        ),
        (
            "identity:\n  issuers:\n"
            "    - {issuer: 'https://i', audience: bank, introspection: {client_id: c, client_secret: s}}\n"
            "    - {issuer: 'https://j', audience: bank, introspection: {client_id: c, client_secret: s}}",
            "bank.yaml:9: identity.issuers.1.introspection: an opaque token does not say whose it is",
        ),
        (
            "identity: {issuers: [{issuer: 'https://i', audience: b, token_types: [dpop+jwt]}]}",
            "bank.yaml:6: identity.",
        ),
    ],
)
def test_an_error_names_file_line_and_key(lines: str, told: str) -> None:
    assert any(problem.startswith(told) for problem in problems(BANK + lines + "\n"))


def test_routes_name_services_and_are_reachable() -> None:
    text = "services: {a: {address: h, port: 1}}\nroutes:\n"
    assert problems(text + "  - {prefix: x, service: b}\n") == (
        "bank.yaml:3: routes.0.prefix: must start with '/', not 'x'",
        "bank.yaml:3: routes.0.service: there is no service 'b' (there are: a)",
    )
    shadowed = text + "  - {prefix: /, service: a}\n  - {prefix: /b, service: a}\n"
    assert problems(shadowed) == ("bank.yaml:4: routes.1.prefix: never reached: routes.0 matches all of it first",)


EXCHANGING = """\
services: {accounts: {address: h, port: 1}, ledger: {address: h, port: 2, audience: ledger}}
routes: [{prefix: /, service: accounts}]
identity: {issuers: [{issuer: "https://i", audience: bank}]}
token_service: {issuer: "https://bank.example/portcullis", audiences: %s}
"""


@pytest.mark.parametrize("audiences", ["{bank: [bank]}", "{bank: []}", "{bank: [ledger], ledger: [ledger]}"])
def test_a_token_is_exchanged_for_an_audience_that_something_has(audiences: str) -> None:
    assert parse((EXCHANGING % audiences).encode(), "bank.yaml", {}).config.token_service is not None


@pytest.mark.parametrize(
    ("audiences", "key", "why"),
    [
        ("{}", "", "there must be at least one, or no token could be exchanged"),
        ("{url: [bank]}", ".url", "no issuer or service has the audience 'url' (there are: bank, ledger)"),
        (
            "{bank: [ledger, accounts]}",
            ".bank.1",
            "no issuer or service has the audience 'accounts' (there are: bank, ledger): "
            "nothing would accept the token",
        ),
    ],
)
def test_a_token_that_nothing_would_accept_is_not_issued(audiences: str, key: str, why: str) -> None:
    assert problems(EXCHANGING % audiences) == (f"bank.yaml:4: token_service.audiences{key}: {why}",)


def test_an_empty_file_lacks_services_and_routes() -> None:
    assert problems("") == ("bank.yaml:1: services: is required", "bank.yaml:1: routes: is required")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PORTCULLIS__EDEG__PORT", "1", "unknown key; did you mean 'edge'?"),
        ("PORTCULLIS__EDGE__PROT", "1", "edge.prot: unknown key; did you mean 'port'?"),
        ("PORTCULLIS__EDGE__PORT", "x", "edge.port: should be a valid integer"),
        ("PORTCULLIS__EDGE__PORT", "true", "edge.port: should be a valid integer"),
        ("PORTCULLIS__EDGE", '{"port": true}', "edge.port: should be a number, not yes or no"),
        ("PORTCULLIS__GUARD__NEVER_BLOCK_ADDRESSES", "10.0.0.1", "must be JSON"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, told: str) -> None:
    (problem,) = problems(BANK, {variable: value})
    assert problem.startswith(f"environment {variable}: {told}")


def numbers(annotation: Any) -> Iterator[Any]:
    """Every number that a branch of the tree can hold, as pydantic reads it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field in annotation.model_fields.values():
            yield from numbers(Annotated.__class_getitem__((field.annotation, *field.metadata, "its own")))  # type: ignore[attr-defined]
    elif annotation in (int, float) or (
        get_origin(annotation) is Annotated and get_args(annotation)[0] in (int, float)
    ):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from numbers(inner)


def test_no_number_of_the_tree_takes_a_boolean_and_each_takes_text() -> None:
    found = list(numbers(Config))
    assert len(found) > 15
    for number in found:
        reader: TypeAdapter[Any] = TypeAdapter(number)
        with pytest.raises(ValidationError, match="not yes or no"):
            reader.validate_python(True)
        with pytest.raises(ValidationError) as caught:
            reader.validate_python("text")
        assert "parsing" in caught.value.errors()[0]["type"]


def test_no_error_repeats_a_secret() -> None:
    assert not any("hunter2" in problem for problem in problems(BANK + "policy: {opa: {token: [hunter2]}}"))


def test_deep_or_huge_text_is_refused_without_recursion() -> None:
    assert problems("a: " + "[" * 5000) == ("bank.yaml:1: nested deeper than 32",)
    assert problems("#" * 2_000_000) == ("bank.yaml:1: larger than 1048576 bytes",)


def test_files_that_are_named_must_exist(tmp_path: Path) -> None:
    file = tmp_path / "bank.yaml"
    file.write_text(
        BANK
        + "edge: {tls: {certificate: no.crt, key: no.key}}\npolicy: {paths: [none.rego], opa: {tls: {ca: no.pem}}}\n"
        + "decisions: {unix: {path: p, group: no-such-group}, token_file: none}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    assert caught.value.problems == (
        f"{file}:6: edge.tls.certificate: there is no file no.crt",
        f"{file}:6: edge.tls.key: there is no file no.key",
        f"{file}:7: policy.opa.tls.ca: there is no file no.pem",
        f"{file}:8: decisions.token_file: there is no file none",
        f"{file}:8: decisions.unix.group: there is no group 'no-such-group'",
        f"{file}:7: policy.paths.0: there is no none.rego",
    )


def test_a_state_folder_too_deep_for_sockets_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bank.yaml"
    file.write_text(BANK + f"state: /{'d' * 120}\n")
    with pytest.raises(ConfigurationError, match="bytes too long for Unix sockets"):
        load(file, {})


def test_no_file_no_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "none.yaml", {})
