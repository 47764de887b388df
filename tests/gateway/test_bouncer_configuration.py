"""What may be written of CrowdSec's bouncers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.configuration import MASK, ConfigurationError, effective, load, parse
from gateway.lines import expected_lines

BANK = """services:
  bank: {address: 127.0.0.1, port: 9000}
routes:
  - {prefix: /, service: bank}
"""
KEY = "0123456789abcdef"
TLS = "tls: {certificate: c, key: k}"


def line(settings: str = "", bouncers: str = f"web: {{key: {KEY}}}") -> str:
    return f"lines: {{crowdsec: {{{settings + ', ' if settings else ''}bouncers: {{{bouncers}}}}}}}"


def told(lines: str) -> str:
    """The problems; empty if there is none."""
    try:
        parse((BANK + lines).encode(), "bank.yaml", {})
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "lines",
    [
        line(),
        line("address: '::1'"),
        line(f"address: 192.0.2.1, {TLS}"),
        line(bouncers=f"web: {{key: {KEY}}}, fw-2: {{key_file: k, ranges: true, hold_seconds: 0}}"),
    ],
)
def test_what_fits_together_is_accepted(lines: str) -> None:
    assert told(lines) == ""


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("lines: {crowdsec: {}}", "lines.crowdsec.bouncers: is required"),
        (line(bouncers=""), "lines.crowdsec.bouncers: "),
        (line("address: here"), "lines.crowdsec.address: must be an IPv4 or IPv6 address"),
        (
            line("address: 192.0.2.1"),
            "lines.crowdsec.tls: is needed: from other hosts the keys",
        ),
        (line("address: 0.0.0.0"), "lines.crowdsec.tls: is needed"),
        (line("port: 8443"), "lines.crowdsec.port: is the port of another part"),
        (line("away_seconds: 1"), "lines.crowdsec.away_seconds: should be greater than or equal to 5"),
        (line(bouncers=f"Web: {{key: {KEY}}}"), "lines.crowdsec.bouncers.Web: a name is of small letters"),
        (line(bouncers=f"edge: {{key: {KEY}}}"), "lines.crowdsec.bouncers.edge: is the name of another line"),
        (line(bouncers="web: {}"), "lines.crowdsec.bouncers.web.key: either it is here or in key_file"),
        (line(bouncers=f"web: {{key: {KEY}, key_file: k}}"), "lines.crowdsec.bouncers.web.key: either it is here or"),
        (line(bouncers="web: {key: short}"), "lines.crowdsec.bouncers.web.key: must have at least 16 characters"),
        (
            line(bouncers=f"web: {{key: {KEY}}}, db: {{key: {KEY}}}"),
            "crowdsec.bouncers.db.key: is the key of web",
        ),
        (line(bouncers=f"web: {{key: {KEY}, hold_seconds: 61}}"), "web.hold_seconds: should be less than or equal"),
    ],
)
def test_what_does_not_is_refused(lines: str, why: str) -> None:
    assert told(lines).startswith("bank.yaml:5: lines.crowdsec.")
    assert why in told(lines)


def test_files_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text(BANK + line(TLS, "web: {key_file: /nowhere/key}"))
    with pytest.raises(ConfigurationError) as refused:
        load(path, {})
    for key in ("tls.certificate", "tls.key", "bouncers.web.key_file"):
        assert f"lines.crowdsec.{key}: there is no file" in str(refused.value)


def test_keys_are_masked_and_each_bouncer_is_a_line_that_is_expected() -> None:
    loaded = parse((BANK + line()).encode(), "bank.yaml", {})
    shown = {setting.key: setting.value for setting in effective(loaded)}
    assert shown["lines.crowdsec.bouncers.web.key"] == MASK
    assert KEY not in repr(loaded) + repr(effective(loaded))
    assert expected_lines(loaded.config.lines) == ("web",)
