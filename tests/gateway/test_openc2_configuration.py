"""What may be written of OpenC2's consumers, of brokers and of lines' names."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.configuration import ConfigurationError, load, parse

BANK = """services:
  bank: {address: 127.0.0.1, port: 9000}
routes:
  - {prefix: /, service: bank}
"""
AGENTS = "agents: {tls: {certificate: c, key: k, client_ca: a, clients: [%s]}}"
OPENC2 = "openc2: {signing_key: s, %s}"
CROWDSEC = "crowdsec: {bouncers: {%s: {key: 0123456789abcdef}}}"


def told(settings: str) -> str:
    """The problems; empty if there is none."""
    try:
        parse((BANK + settings).encode(), "bank.yaml", {})
    except ConfigurationError as error:
        return str(error)
    return ""


def lines(*branches: str) -> str:
    return told(f"lines: {{{', '.join(branches)}}}")


@pytest.mark.parametrize(
    "branches",
    [
        (OPENC2 % "consumers: [a, b], foreign: [c]",),
        (OPENC2 % "consumers: [a], group: slpf",),
        (AGENTS % "a", OPENC2 % "consumers: [b], foreign: [c]", CROWDSEC % "d"),
        (OPENC2 % "consumers: [a], broker: {tls: {}}",),
        (OPENC2 % "consumers: [a], broker: {tls: {ca: x, certificate: y, key: z}}",),
    ],
)
def test_what_fits_together_is_accepted(branches: tuple[str, ...]) -> None:
    assert lines(*branches) == ""


@pytest.mark.parametrize(
    ("branches", "why"),
    [
        ((OPENC2 % "consumers: []",), "needs at least one consumer"),
        ((OPENC2 % "consumers: [a], foreign: [b], group: slpf",), "lines.openc2.group: is for any actuator"),
        ((OPENC2 % "consumers: [a, a]",), "lines.openc2.consumers.1: 'a' is another line's name"),
        ((OPENC2 % "consumers: [edge]",), "lines.openc2.consumers.0: 'edge' is another line's name"),
        ((OPENC2 % "consumers: [a], foreign: [a]",), "lines.openc2.foreign.0: 'a' is another line's name"),
        ((AGENTS % "a", OPENC2 % "consumers: [b, a]"), "lines.openc2.consumers.1: 'a' is another line's name"),
        ((AGENTS % "a", CROWDSEC % "a"), "lines.crowdsec.bouncers.a: 'a' is another line's name"),
        ((OPENC2 % "foreign: [a]", CROWDSEC % "a"), "lines.crowdsec.bouncers.a: 'a' is another line's name"),
        ((OPENC2 % "consumers: [a], broker: {tls: {key: z}}",), "lines.openc2.broker.tls: a certificate and its key"),
    ],
)
def test_what_does_not_fit_together_is_said(branches: tuple[str, ...], why: str) -> None:
    assert why in lines(*branches)


def test_the_telemetrys_broker_too() -> None:
    assert "telemetry.mqtt.broker.tls: a certificate and its key" in told(
        "telemetry: {mqtt: {broker: {tls: {certificate: c}}}}"
    )


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    written = tmp_path / "bank.yaml"
    written.write_text(BANK + "lines: {openc2: {signing_key: s, consumers: [a], broker: {tls: {ca: /nowhere.pem}}}}\n")
    with pytest.raises(ConfigurationError, match=r"lines\.openc2\.broker\.tls\.ca: there is no file"):
        load(written, {})
