"""What the configuration may say of signals, and what does not fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.configuration import ConfigurationError, effective, load, parse

BASE = """
services: {a: {address: a, port: 1}}
routes: [{prefix: /, service: a}]
identity: {issuers: [{issuer: "https://i.example", audience: bank}]}
"""
PUSH_TOKEN = "what-the-transmitter-must-show"


def problems(signals: str) -> tuple[str, ...]:
    try:
        parse(f"{BASE}signals: {signals}\n".encode(), "c", {})
    except ConfigurationError as error:
        return error.problems
    return ()


def transmitter(text: str, rest: str = "") -> str:
    return (
        '{url: "https://g.example", transmitters: [{audience: g, issuer: "https://t.example", '
        + text
        + "}"
        + rest
        + "]}"
    )


@pytest.mark.parametrize(
    "signals",
    [
        "{}",
        transmitter("token: t"),
        transmitter("delivery: poll, token: t"),
        transmitter("delivery: unmanaged"),
        transmitter(f"token: t, push_token: {PUSH_TOKEN}"),
        '{transmitters: [{audience: g, issuer: "urn:t", delivery: unmanaged, jwks_url: "https://t.example/jwks"}]}',
        '{logout: [{issuer: "https://i.example", client_id: gateway}]}',
    ],
)
def test_what_fits(signals: str) -> None:
    assert problems(signals) == ()


@pytest.mark.parametrize(
    ("signals", "told"),
    [
        ('{transmitters: [{issuer: "https://t.example", audience: g, token: t}]}', "signals.url: is required"),
        ('{url: "https://g.example/path"}', "signals.url: must be"),
        ('{url: "g.example"}', "signals.url: must be"),
        (transmitter("delivery: push"), "token: either it is here or in token_file"),
        (transmitter("token: t, token_file: f"), "token: either it is here or in token_file"),
        (transmitter("delivery: poll"), "token: either it is here or in token_file"),
        (transmitter("delivery: carrier_pigeon"), "delivery: should be"),
        (transmitter("token: t, push_token: short"), "push_token: must have at least 16 characters"),
        (transmitter(f"token: t, push_token: '{PUSH_TOKEN} x'"), "push_token: must have at least 16 characters"),
        (transmitter(f"token: t, push_token: {PUSH_TOKEN}, push_token_file: f"), "push_token_file: there is a push"),
        (transmitter(f"delivery: poll, token: t, push_token: {PUSH_TOKEN}"), "push_token: is for a transmitter that"),
        (transmitter("token: t, algorithms: []"), "algorithms: there must be at least one"),
        (transmitter("token: t, algorithms: [HS256]"), "algorithms.0: should be"),
        (transmitter("token: t, jwks_url: /jwks"), "jwks_url: must be an http"),
        (transmitter("token: t, max_age_seconds: 1"), "max_age_seconds: should be"),
        (
            transmitter("token: t", ', {issuer: "https://t.example", audience: g, token: t}'),
            "transmitters.1.issuer: 'https://t.example' is listed 2 times",
        ),
        ('{transmitters: [{issuer: "https://t", audience: "", delivery: unmanaged}]}', "audience: must not be empty"),
        ("{transmitters: [{issuer: t, audience: g, delivery: unmanaged}]}", "issuer: must be an http"),
        ('{logout: [{issuer: "https://other.example", client_id: g}]}', "issuer: 'https://other.example' is none of"),
        ('{logout: [{issuer: "https://i.example", client_id: ""}]}', "client_id: must not be empty"),
        ('{logout: [{issuer: "https://i.example", client_id: g, token_types: []}]}', "token_types: there must be"),
        ('{logout: [{issuer: "https://i.example", client_id: g, token_types: [at+jwt]}]}', "token_types.0: should be"),
    ],
)
def test_what_does_not_fit(signals: str, told: str) -> None:
    assert any(told in problem for problem in problems(signals)), problems(signals)


def test_an_issuer_tells_of_logouts_once() -> None:
    sender = '{issuer: "https://i.example", client_id: g}'
    assert len(problems(f"{{logout: [{sender}, {sender}]}}")) == 2


def test_secrets_are_masked() -> None:
    text = f"{BASE}signals: {transmitter(f'token: management, push_token: {PUSH_TOKEN}')}\n"
    shown = {setting.key: setting.value for setting in effective(parse(text.encode(), "c", {}))}
    assert shown["signals.transmitters.0.token"] == shown["signals.transmitters.0.push_token"] == "********"


def test_files_that_are_named_must_exist(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"{BASE}signals: {transmitter('token_file: /no/token, push_token_file: /no/push')}\n")
    with pytest.raises(ConfigurationError) as raised:
        load(file, {})
    assert [problem.rpartition(": ")[2] for problem in raised.value.problems] == [
        "there is no file /no/token",
        "there is no file /no/push",
    ]
