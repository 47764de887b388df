"""What may be written of trust domains and client certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.configuration import ConfigurationError, load, parse

BANK = """services:
  bank: {address: 127.0.0.1, port: 9000}
routes:
  - {prefix: /, service: bank}
"""


def told(lines: str) -> str:
    """The problems; empty if there is none."""
    try:
        parse((BANK + lines).encode(), "bank.yaml", {})
    except ConfigurationError as error:
        return str(error)
    return ""


def domains(*texts: str) -> str:
    return "identity:\n  trust_domains:\n" + "".join(f"    - {{{text}}}\n" for text in texts)


@pytest.mark.parametrize(
    "lines",
    [
        domains("name: bank.example"),
        domains("name: bank.example, bundle: b, crl: c", "name: other.example, workload_api: s, crl: c"),
        domains("name: bank.example", "name: other.example, workload_api: s"),
        "edge: {tls: {certificate: c, key: k, client_ca: a, crl: r}}\n" + domains("name: bank.example"),
    ],
)
def test_what_fits_together_is_accepted(lines: str) -> None:
    assert told(lines) == ""


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("identity: {trust_domains: [bank.example]}", "bank.yaml:5: identity.trust_domains.0: should be"),
        (domains("name: Bank.example"), "bank.yaml:7: identity.trust_domains.0.name: String should match"),
        (domains("name: ''"), "bank.yaml:7: identity.trust_domains.0.name: String should match"),
        (domains("name: a", "name: a"), "bank.yaml:7: identity.trust_domains.0.name: 'a' is listed 2 times"),
        (domains("name: a, bundle: b, workload_api: s"), "identity.trust_domains.0.workload_api: there is a bundle"),
        (domains("name: a, crl: c"), "identity.trust_domains.0.crl: needs a bundle or a workload_api"),
        (domains("name: a, bundle: b", "name: c, bundle: d, crl: e"), "identity.trust_domains: either each source"),
        (
            "edge: {tls: {certificate: c, key: k, client_ca: a, crl: r}}\n" + domains("name: a, bundle: b"),
            "identity.trust_domains: either each source",
        ),
        ("edge: {tls: {certificate: c, key: k, crl: r}}", "bank.yaml:5: edge.tls.crl: needs a client_ca"),
    ],
)
def test_what_does_not_is_told(lines: str, why: str) -> None:
    assert why in told(lines)


def test_files_that_are_not_there_are_told_and_a_socket_may_come_later(tmp_path: Path) -> None:
    file = tmp_path / "bank.yaml"
    tls = "edge: {tls: {certificate: bank.yaml, key: bank.yaml, client_ca: bank.yaml, crl: r.pem}}\n"
    more = domains("name: a, bundle: b.pem, crl: c.pem", "name: d, workload_api: s.sock, crl: bank.yaml")
    file.write_text(BANK + (tls + more).replace("bank.yaml", str(file)))
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [
        "edge.tls.crl",
        "identity.trust_domains.0.bundle",
        "identity.trust_domains.0.crl",
    ]
