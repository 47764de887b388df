"""What may be written of the Shared Signals transmitter."""

from __future__ import annotations

import pytest

from tests.gateway.test_trust_configuration import told

HERE = "issuer: 'https://bank.example'"


def transmitter(issuer: str, *receivers: str) -> str:
    return f"signals_transmitter:\n  {issuer}\n  receivers:\n" + "".join(f"    - {{{text}}}\n" for text in receivers)


@pytest.mark.parametrize(
    "lines",
    [
        transmitter(HERE, "id: a, audience: x"),
        transmitter("issuer: 'https://bank.example:8443'", "id: a, audience: x", "id: b, audience: x"),
        transmitter(HERE, "id: a, audience: x, events: [session-revoked], push_prefixes: ['http://10.0.0.1/in']"),
    ],
)
def test_what_fits_together_is_accepted(lines: str) -> None:
    assert told(lines) == ""


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (transmitter("issuer: 'http://bank.example'", "id: a, audience: x"), "issuer: must be an https:// address"),
        (transmitter("issuer: 'https://bank.example/'", "id: a, audience: x"), "issuer: must be an https:// address"),
        (transmitter("issuer: 'https://u@bank.example'", "id: a, audience: x"), "issuer: must be an https:// address"),
        (transmitter(HERE, "id: a, audience: x", "id: a, audience: y"), "receivers.1.id: 'a' is listed 2 times"),
        (transmitter(HERE, "id: a, audience: x, push_prefixes: ['ftp://x/']"), "push_prefixes.0: must be an http://"),
        (transmitter(HERE, "id: a, audience: x, push_prefixes: ['https://x/?']"), "push_prefixes.0: must be an http"),
        (transmitter(HERE, "id: a, audience: x, events: []"), "receivers.0.events"),
        (transmitter(HERE, "id: a, audience: x, events: [logout]"), "receivers.0.events.0"),
        (transmitter(HERE, "id: a, audience: x, max_waiting: 0"), "receivers.0.max_waiting"),
        ("signals_transmitter: {issuer: 'https://a.example', receivers: []}", "signals_transmitter.receivers"),
    ],
)
def test_what_does_not_fit_is_told(lines: str, why: str) -> None:
    assert why in told(lines)
