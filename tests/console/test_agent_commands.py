"""`portcullis agents`, over the admin API's real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from console.client import Client, Refused
from tests.console.bank_operations import CONFIGURATION, BankOperations, served

EXPIRES = 2e9
PROFILE = """\
id: agent:invoice-bot
owner: team:payments
purpose: pays invoices
model: small-1
version: "2027-01"
expires: 2033-05-18T03:33:20Z
not_before: "2026-01-01T00:00:00+01:00"
tools: [pay, read]
amounts: {EUR: 500, CHF: 99.95}
may_act_for: ["person:alice"]
"""
TOLD = {
    "id": "agent:invoice-bot",
    "owner": "team:payments",
    "purpose": "pays invoices",
    "model": "small-1",
    "version": "2027-01",
    "expires": EXPIRES,
    "not_before": 1767222000.0,
    "tools": ["pay", "read"],
    "amounts": {"EUR": 500, "CHF": 99.95},
    "may_act_for": ["person:alice"],
    "keys": [],
    "spiffe_id": "",
}
NEEDED = ("--owner", "team:x", "--purpose", "p", "--model", "m", "--version", "1", "--expires", "90d")


@pytest.fixture
def bank() -> BankOperations:
    return BankOperations()


@pytest.fixture
def call(bank: BankOperations, tmp_path: Path) -> Iterator[Any]:
    file = tmp_path / "portcullis.yaml"
    file.write_text(CONFIGURATION.format(state=tmp_path))

    def invoke(*arguments: str, text: str = "") -> Result:
        return CliRunner().invoke(app, ["agents", *arguments, "-c", str(file)], input=text)

    with served(bank, tmp_path / "run" / "admin.sock"):
        yield invoke


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_an_agent_is_registered_from_a_file(call: Any, bank: BankOperations, tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(PROFILE)
    answer = data(call("add", "--file", str(file), "--by", "jo", "-o", "json"))
    assert {name: answer["agent"][name] for name in TOLD} == TOLD
    ((what, verb, agent, why, by, dry_run),) = bank.ordered
    assert (what, verb, agent, why, dry_run) == ("agent", "add", "agent:invoice-bot", "registered", False)
    assert by.startswith("jo as ")


def test_json_comes_from_stdin_and_options_win(call: Any) -> None:
    answer = data(
        call("add", "-f", "-", "--purpose", "reads", "--amount", "EUR=7", "-o", "json", text=json.dumps(TOLD))
    )
    assert (answer["agent"]["purpose"], answer["agent"]["amounts"]) == ("reads", {"EUR": 7})
    assert answer["agent"]["tools"] == ["pay", "read"]


def test_an_agent_is_registered_from_options(call: Any) -> None:
    more = ("--tool", "pay", "--tool", "read", "--act-for", "*", "--amount", "EUR=0.5", "--amount", "JPY=100")
    agent = data(call("add", "agent:x", *NEEDED, *more, "-o", "json"))["agent"]
    assert (agent["tools"], agent["may_act_for"]) == (["pay", "read"], ["*"])
    assert agent["amounts"] == {"EUR": 0.5, "JPY": 100}


# RFC 7638 section 3.1, and RFC 8037 appendix A.3
RSA = (
    '{"kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbW'
    "hM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf"
    "0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6W"
    'eZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}'
)
ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
THUMBPRINTS = ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]


def test_keys_are_given_as_files_or_thumbprints(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "rsa.jwk"
    file.write_text(RSA)
    given = ("--key", "A" * 43, "--jwk", str(file), "--jwk", "-")
    answer = data(call("add", "agent:x", *NEEDED, *given, "-o", "json", text=json.dumps(ED25519)))
    assert answer["agent"]["keys"] == ["A" * 43, *THUMBPRINTS]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (json.dumps(ED25519 | {"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}), "stays with the agent"),
        (json.dumps({"keys": [ED25519]}), "is not one public key"),
        (json.dumps(ED25519 | {"use": "enc"}), "is not one public key"),
        ("[" * 100_000, ""),
        ("no json", ""),
        (None, "No such file"),
    ],
)
def test_what_is_no_public_key_registers_nobody(
    call: Any, bank: BankOperations, tmp_path: Path, content: str | None, why: str
) -> None:
    file = tmp_path / "key.jwk"
    if content is not None:
        file.write_text(content)
    result = call("add", "agent:x", *NEEDED, "--jwk", str(file))
    assert (result.exit_code, result.stdout, bank.ordered) == (2, "", [])
    assert why in " ".join(result.stderr.replace("│", " ").split())
    assert "nWGxne" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "agent:x"),
        ("add", "bot", *NEEDED),
        ("add", "agent:x", *NEEDED, "--amount", "EUR"),
        ("add", "agent:x", *NEEDED, "--amount", "EUR=many"),
        ("add", "agent:x", *NEEDED, "--amount", "EUR=nan"),
        ("add", "agent:x", *NEEDED, "--expires", "soon"),
        ("add", "agent:x", *NEEDED, "--tool", "a b"),
        ("suspend", "agent:x"),
        ("revoke", "agent:x"),
        ("resume", "agent:x"),
        ("show",),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(call: Any, bank: BankOperations, arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout, bank.ordered) == (2, "", [])


@pytest.mark.parametrize(
    "wrong",
    [
        "expires: 2033-05-18",
        "expires: 2033-05-18T03:33:20",
        "expires: never",
        "id: agent:a\nid: agent:b",
        "limits: {}",
        "- a",
        "a: [",
    ],
)
def test_a_file_that_cannot_be_meant_is_a_usage_error(call: Any, bank: BankOperations, wrong: str) -> None:
    rest = [line for line in PROFILE.splitlines() if line.partition(":")[0] != wrong.partition(":")[0]]
    result = call("add", "-f", "-", text="\n".join([*rest, wrong]))
    assert (result.exit_code, result.stdout, bank.ordered) == (2, "", [])


def test_a_switch_is_turned_with_a_reason(call: Any, bank: BankOperations) -> None:
    data(call("add", "agent:x", *NEEDED, "-o", "json"))
    for verb, state in ("suspend", "suspended"), ("resume", "active"), ("revoke", "revoked"):
        answer = data(call(verb, "agent:x", "--reason", f"{verb} it", "-o", "json"))
        assert (answer["agent"]["state"], answer["agent"]["reason"]) == (state, f"{verb} it")
        assert answer["sessions_ended"] == 3
    refused = call("resume", "agent:x", "--reason", "please", "-o", "json")
    assert (refused.exit_code, json.loads(refused.stdout)["outcome"]) == (1, "refused")


def test_an_agent_is_declared_anew_only_if_that_is_said(call: Any, bank: BankOperations) -> None:
    data(call("add", "agent:x", *NEEDED, "-o", "json"))
    assert call("add", "agent:x", *NEEDED, "--tool", "t").exit_code == 1
    assert data(call("add", "agent:x", *NEEDED, "--tool", "t", "--replace", "-o", "json"))["agent"]["tools"] == ["t"]
    assert [order[1] for order in bank.ordered] == ["add", "add", "replace"]


def test_a_dry_run_changes_nothing(call: Any, bank: BankOperations) -> None:
    assert data(call("add", "agent:x", *NEEDED, "--dry-run", "-o", "json"))["outcome"] == "dry_run"
    assert len(bank.registry) == 0
    data(call("add", "agent:x", *NEEDED, "-o", "json"))
    for verb in ("suspend", "revoke"):
        assert data(call(verb, "agent:x", "--reason", "r", "--dry-run", "-o", "json"))["outcome"] == "dry_run"
    known = bank.registry.get("agent:x")
    assert known is not None
    assert known.state == "active"


def test_the_list_has_every_page(call: Any, bank: BankOperations) -> None:
    assert call("list", "-o", "json").stdout == "[]\n"
    for name in "edcba":
        data(call("add", f"agent:{name}", *NEEDED, "-o", "json"))
    listed = data(call("list", "-o", "json"))
    assert [agent["id"] for agent in listed] == [f"agent:{name}" for name in "abcde"]
    shown = call("list").stdout.splitlines()
    assert shown[0].split()[:3] == ["ID", "STATE", "OWNER"]
    assert len(shown) == 6


def test_one_agents_story(call: Any) -> None:
    data(call("add", "agent:a/b", *NEEDED, "--act-for", "*", "-o", "json"))
    assert data(call("show", "agent:a/b", "-o", "json"))["history"][0]["by"] == "jo"
    shown = call("show", "agent:a/b").stdout
    assert "team:x" in shown
    assert "new" in shown
    missing = call("show", "agent:ghost")
    assert (missing.exit_code, missing.stdout, missing.stderr) == (1, "", "there is no such agent\n")


def test_people_see_what_became_of_it(call: Any) -> None:
    shown = dict(line.split() for line in call("add", "agent:x", *NEEDED, "--tool", "pay").stdout.splitlines())
    assert shown == {"outcome": "done", "sessions_ended": "3", "agent": "agent:x", "state": "active"}


def test_what_is_not_on_record_is_a_failure_that_says_so(call: Any, bank: BankOperations) -> None:
    bank.full = True
    result = call("suspend", "agent:x", "--reason", "odd")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "in force, but not on record" in result.stderr


@pytest.mark.parametrize(
    ("method", "body", "what"),
    [
        ("POST", {"profile": {"id": "agent:x"}, "reason": "r"}, "missing required field"),
        ("POST", {"profile": TOLD, "reason": " "}, "reason must be"),
        ("POST", {"profile": TOLD}, "missing required field"),
        ("PATCH", {"verb": "add", "agent": "agent:x", "reason": "r"}, "Invalid enum value"),
        ("PATCH", {"verb": "suspend", "agent": "agent:x", "reason": ""}, "reason must be"),
        ("PATCH", {"verb": "suspend", "agent": "agent:x", "reason": "r", "by": "\n"}, "by must be"),
    ],
)
def test_an_order_that_cannot_be_meant_is_the_callers_fault(
    call: Any, bank: BankOperations, tmp_path: Path, method: str, body: Any, what: str
) -> None:
    with pytest.raises(Refused, match=what) as refused:
        Client(tmp_path / "run" / "admin.sock").ask(method, "/v1/agents", body)
    assert (refused.value.status, refused.value.fault, bank.ordered) == (400, "caller", [])
