"""`portcullis policy show`, `eval` and `data`: what people see of rules and data, and how they change data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from tests.console.bank_operations import CONFIGURATION, BankOperations, served

RULES = """package portcullis.access

decision := {"effect": "allow"} if within

within if input.body.amount <= data.limits[input.principal.id]

tellers contains who if some who, _ in data.limits

reason := "so it is"
"""
HUGE = "0.12345678901234567890123"


@pytest.fixture
def bank() -> BankOperations:
    return BankOperations()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "portcullis.yaml"
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "access.rego").write_text(RULES)
    (tmp_path / "data.json").write_text('{"limits": {"person:alice": 500}}')
    policy = f"policy: {{paths: [{tmp_path / 'rules'}], data: {tmp_path / 'data.json'}}}\n"
    file.write_text(CONFIGURATION.format(state=tmp_path) + policy)
    return file


@pytest.fixture
def gateway(bank: BankOperations, tmp_path: Path) -> Iterator[BankOperations]:
    with served(bank, tmp_path / "run" / "admin.sock"):
        yield bank


def call(file: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["policy", *arguments, "-c", str(file)], input=stdin)


def call_json(file: Path, *arguments: str, stdin: str = "") -> Any:
    result = call(file, *arguments, "-o", "json", stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_rules_are_shown_with_their_place_and_what_they_depend_on(file: Path) -> None:
    listed = [row for row in call_json(file, "show") if row["file"] != "starter/signals.rego"]
    rows = {row["rule"].rpartition(".")[2]: row for row in listed}
    assert rows.keys() == {"decision", "within", "tellers", "reason"}
    assert rows["decision"]["depends"] == ["data.limits", "input.body.amount", "input.principal.id"]
    assert {name: (row["line"], row["evaluated"]) for name, row in rows.items()} == {
        "decision": (3, "on each decision"),
        "within": (5, "on each decision"),
        "tellers": (7, "on change of data"),
        "reason": (9, "at load"),
    }
    shown = call(file, "show").stdout.splitlines()
    assert shown[0].split() == ["RULE", "AT", "EVALUATED", "DEPENDS"]
    assert any("access.rego:3" in line for line in shown)


def test_python_is_shown_beside_the_rego(file: Path) -> None:
    python = call(file, "show", "--python").stdout
    compile(python, "shown", "exec")
    assert "# 5: within if input.body.amount <= data.limits[input.principal.id]" in python
    assert call_json(file, "show", "--python")["python"] in python


def test_files_may_be_named_instead_of_the_configured_ones(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.rego"
    other.write_text("package portcullis.access\n\ndecision := 1\n")
    assert {row["file"] for row in call_json(file, "show", str(other))} == {str(other), "starter/signals.rego"}
    broken = tmp_path / "broken.rego"
    broken.write_text("package portcullis.access\n\ndecision := x\n")
    for command in (("show",), ("eval", "data.portcullis.access.decision")):
        result = call(file, *command, str(broken))
        assert (result.exit_code, result.stdout.startswith(f"{broken}:3:")) == (3, True)


INPUT = {"principal": {"id": "person:alice"}, "body": {"amount": 500}}


def test_a_rule_is_evaluated_with_what_it_depended_on(file: Path, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text(json.dumps(INPUT))
    given = ("--input", str(tmp_path / "input.json"))
    answer = call_json(file, "eval", "data.portcullis.access.decision", *given)
    assert answer == {
        "value": {"effect": "allow"},
        "depends": ['data.limits["person:alice"]', "input.body.amount", "input.principal.id"],
    }
    (tmp_path / "less.json").write_text('{"limits": {"person:alice": 499}}')
    answer = call_json(file, "eval", "data.portcullis.access.within", *given, "--data", str(tmp_path / "less.json"))
    assert "value" not in answer
    assert call(file, "eval", "data.portcullis.access.within").stdout.startswith("value    undefined\n")
    answer = call_json(file, "eval", "data.portcullis.access.tellers", "--input", "-", stdin=json.dumps(INPUT))
    assert answer["value"] == ["person:alice"]


def test_what_cannot_be_evaluated_says_why(file: Path) -> None:
    assert call(file, "eval", "portcullis.access").exit_code == 2
    broken = call(file, "eval", "data.portcullis.access.within", "--input", "-", stdin="{")
    assert (broken.exit_code, "--input" in broken.stderr) == (2, True)
    missing = call(file, "eval", "data.portcullis.access.within", "--input", "/nothing")
    assert (missing.exit_code, missing.stderr) == (1, "/nothing: No such file or directory\n")


def test_a_contradiction_is_told(file: Path, tmp_path: Path) -> None:
    rules = tmp_path / "two.rego"
    rules.write_text("package portcullis.access\n\ndecision := 1 if input.a\n\ndecision := 2 if input.b\n")
    result = call(file, "eval", "data.portcullis.access.decision", str(rules), "--input", "-", stdin='{"a": 1, "b": 1}')
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("eval_conflict_error: ")


def test_data_is_shown_and_changed(file: Path, gateway: BankOperations) -> None:
    why = ("--reason", "ticket 4711", "--by", "jo")
    assert json.loads(call(file, "data", "get", "/limits").stdout) == {"person:alice": 500}
    answer = call_json(file, "data", "put", "/limits/person:bob", "-", *why, stdin=HUGE)
    assert answer == {"outcome": "changed", "paths": ["/limits/person:bob"]}
    assert call(file, "data", "get", "/limits/person:bob").stdout == f"{HUGE}\n"
    assert call(file, "data", "get", "/limits/person:bob", "-o", "json").stdout == f'{{\n  "value": {HUGE}\n}}\n'
    patch = '[{"op": "test", "path": "/limits/person:alice", "value": 500}, {"op": "remove", "path": "/limits"}]'
    assert call_json(file, "data", "patch", "-", *why, stdin=patch)["paths"] == ["/limits"]
    assert call_json(file, "data", "remove", "/limits", *why)["outcome"] == "changed"
    assert gateway.data.document["limits"] == {"person:alice": 500}
    assert [order[1:] for order in gateway.ordered] == [("ticket 4711", gateway.ordered[0][2], False)] * 3
    assert gateway.ordered[0][2].startswith("jo as ")


def test_a_dry_run_changes_no_data(file: Path, gateway: BankOperations, tmp_path: Path) -> None:
    (tmp_path / "patch.json").write_text('[{"op": "remove", "path": "/limits"}]')
    answer = call_json(file, "data", "patch", str(tmp_path / "patch.json"), "--reason", "odd", "--dry-run")
    assert answer == {"outcome": "dry_run", "paths": ["/limits"]}
    assert call_json(file, "data", "put", "/a", "-", "--reason", "odd", "--dry-run", stdin="1")["paths"] == ["/a"]
    assert call_json(file, "data", "remove", "/a", "--reason", "odd", "--dry-run")["paths"] == []
    assert gateway.data.document.keys() == {"limits", "many"}


def test_what_is_refused_is_an_answer_and_a_failure(file: Path, gateway: BankOperations) -> None:
    patch = '[{"op": "add", "path": "/x", "value": 1}, {"op": "remove", "path": "/y"}]'
    result = call(file, "data", "patch", "-", "--reason", "odd", stdin=patch)
    assert (result.exit_code, "operation 1 at /y: there is no /y" in result.stdout) == (1, True)
    result = call(file, "data", "get", "/many")
    assert (result.exit_code, "more than 10 values" in result.stdout) == (1, True)
    assert call(file, "data", "get", "/nothing").stderr == "there is no such path\n"
    assert call(file, "data", "get", "limits").stderr == "a JSON pointer starts with /\n"
    for arguments in (("put", "limits", "-"), ("remove", "limits")):
        result = call(file, "data", *arguments, "--reason", "odd", stdin="1")
        assert (result.exit_code, result.stderr) == (1, "a JSON pointer starts with /\n")
    assert call(file, "data", "put", "/x", "-", "--reason", " ", stdin="1").stderr.startswith("reason must be")
    assert call(file, "data", "put", "/x", "-", "--reason", "odd", stdin="{").exit_code == 2
    large = json.dumps(["x" * 1000] * 1000)
    assert (
        call(file, "data", "put", "/x", "-", "--reason", "odd", stdin=large).stderr == "body larger than 524288 bytes\n"
    )
    gateway.full = True
    unwritable = call(file, "data", "put", "/x", "-", "--reason", "odd", stdin="1")
    assert (unwritable.exit_code, "the ledger cannot be written" in unwritable.stderr) == (1, True)
    assert "x" not in gateway.data.document
