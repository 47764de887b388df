"""`portcullis models`: what lies on the shelf, and how it comes into force, by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from detectors import Model, Shelf
from detectors.models import FLOW, TASKS, add, default, promote
from detectors.simulator import VERSION, flow_traffic
from tests.console.bank_operations import CONFIGURATION


@pytest.fixture(scope="module")
def flow() -> Model:
    return default(TASKS["flow"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "portcullis.yaml"
    file.write_text(CONFIGURATION.format(state=tmp_path / "state"))
    return file


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "state" / "models")


@pytest.fixture
def three(shelf: Shelf, flow: Model) -> list[str]:
    """A model in force, one that is as good, and one that never accuses anybody."""
    revisions = [
        add(shelf, flow),
        *(add(shelf, with_threshold(flow, limit)) for limit in (flow.card.threshold + 1e-4, 1.1)),
    ]
    promote(shelf, revisions[0], time=1e9, by="portcullis", reason="the first", force=True)
    return revisions


def with_threshold(model: Model, threshold: float) -> Model:
    return Model(model.booster, msgspec.structs.replace(model.card, threshold=threshold).sealed())


def call(file: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments), "-c", str(file)])


def call_json(file: Path, *arguments: str | Path, code: int = 0) -> Any:
    result = call(file, *arguments, "-o", "json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_an_empty_shelf_is_an_empty_list(file: Path, shelf: Shelf) -> None:
    assert call_json(file, "list") == []
    assert call(file, "list").stderr == "none\n"
    assert not shelf.places.folder.exists()


def test_training_puts_a_revision_on_the_shelf_and_promotes_nothing(
    file: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(TASKS["flow"], simulate=lambda seed: flow_traffic(seed, 300.0, 1.0, hosts=60))
    monkeypatch.setitem(TASKS, "flow", short)
    train = ("train", "--schema", "flow", "--seed", "2")
    (would,) = call_json(file, *train, "--dry-run")
    assert (would["outcome"], call_json(file, "list")) == ("dry_run", [])
    (did,) = call_json(file, *train)
    assert did == would | {"outcome": "trained"}
    (row,) = call_json(file, "list")
    assert (row["revision"], row["in_force"], row["seed"], row["refused"]) == (did["revision"], False, 2, "")
    assert row["signed_by"] == shelf.keys.own


def test_a_card_is_shown(file: Path, three: list[str]) -> None:
    told = call_json(file, "show", three[0])
    assert (told["revision"], told["in_force"], told["schema"]["name"]) == (three[0], True, "flow")
    assert told["promotions"][0]["reason"] == "the first"
    assert 0 <= told["reliability"]["error"] < 0.02
    people = call(file, "show", three[0])
    assert people.exit_code == 0
    for text in ("expected calibration error", "test traffic had no say", "beacons", f"simulator {VERSION}, seed 12"):
        assert text in people.stdout


def test_what_is_as_good_is_promoted_once_it_was_evaluated_and_taken_back(file: Path, three: list[str]) -> None:
    order = ("promote", three[1], "--reason", "ticket 4711", "--by", "jo")
    early = call(file, *order)
    assert (early.exit_code, early.stderr) == (1, f"{three[1]}: was not evaluated\n")
    told = call_json(file, "evaluate", three[1])
    assert (told["against"], told["worse"], told["traffic"]["source"]) == (
        three[0],
        [],
        f"simulator {VERSION}, seed 10000003",
    )
    assert call_json(file, *order, "--dry-run")["outcome"] == "dry_run"
    did = call_json(file, *order)
    assert (did["outcome"], did["before"], did["reason"], did["forced"]) == ("promoted", three[0], "ticket 4711", False)
    assert did["by"].startswith("operator:jo as ")
    back = call_json(file, "rollback", "flow", "--reason", "ticket 4712")
    assert (back["outcome"], back["revision"], back["before"]) == ("rolled_back", three[0], three[1])
    again = call(file, "rollback", "flow", "--reason", "again")
    assert (again.exit_code, again.stderr) == (1, f"flow: no model was in force before {three[0]}\n")


def test_what_is_worse_is_promoted_by_force_alone(file: Path, three: list[str]) -> None:
    unrecorded = call(file, "evaluate", three[2], "--dry-run")
    assert unrecorded.exit_code == 3
    assert "worse: it catches 0.0% of the attackers" in unrecorded.stderr
    assert f"{three[0]} (in force)" in unrecorded.stdout
    order = ("promote", three[2], "--reason", "to see what happens")
    assert "was not evaluated" in call(file, *order).stderr
    assert call_json(file, "evaluate", three[2], code=3)["worse"]
    refused = call(file, *order)
    assert (refused.exit_code, "it catches 0.0%" in refused.stderr) == (1, True)
    assert call_json(file, *order, "--force")["forced"] is True
    assert call_json(file, "show", three[2])["promotions"][-1]["forced"] is True


def test_an_altered_model_is_listed_as_refused_and_goes_nowhere(file: Path, shelf: Shelf, three: list[str]) -> None:
    card = shelf.places.revision(three[1]) / "card.json"
    card.write_bytes(card.read_bytes().replace(b'"intended_use": "Judges', b'"intended_use": "Spares'))
    (row,) = [row for row in call_json(file, "list") if row["refused"]]
    assert (row["revision"], "card.json: altered" in row["refused"]) == (three[1], True)
    assert "card.json: altered" in call(file, "list").stdout
    for verb in (("show",), ("evaluate",), ("promote", "--force", "--reason", "x")):
        result = call(file, verb[0], three[1], *verb[1:])
        assert (result.exit_code, "card.json: altered" in result.stderr) == (1, True)
    assert shelf.in_force(FLOW).card.revision == three[0]


def test_another_banks_model_counts_where_its_key_is_named(
    file: Path, shelf: Shelf, three: list[str], flow: Model, tmp_path: Path
) -> None:
    other = Shelf(tmp_path / "other")
    revision = add(other, with_threshold(flow, 0.85))
    shutil.copytree(other.places.revision(revision), shelf.places.revision(revision))
    assert "not trusted here" in call(file, "show", revision).stderr
    with file.open("a") as text:
        text.write(f"detectors: {{trusted_keys: [{other.places.public_key}]}}\n")
    assert call_json(file, "show", revision)["signed_by"] == other.keys.own
    other.places.public_key.write_text("none")
    assert "shelf.pub: not a public key" in call(file, "list").stderr
    other.places.public_key.unlink()
    missing = call(file, "list")
    assert (missing.exit_code, "detectors.trusted_keys.0: there is no file" in missing.stderr) == (64, True)


@pytest.mark.parametrize("arguments", [("train", "--schema", "dns"), ("rollback", "dns", "--reason", "x")])
def test_an_unknown_schema_is_the_callers_mistake(file: Path, arguments: tuple[str, ...]) -> None:
    result = call(file, *arguments)
    assert (result.exit_code, "there are: access, flow" in result.stderr) == (2, True)


def test_a_change_says_why(file: Path, three: list[str]) -> None:
    assert call(file, "promote", three[1]).exit_code == 2
    assert call(file, "rollback", "flow").exit_code == 2


def test_data_that_says_nothing_is_refused(file: Path, three: list[str], tmp_path: Path) -> None:
    (data := tmp_path / "flows.json").write_text("{}")
    for verb in (("train", "--schema", "flow"), ("evaluate", three[1])):
        result = call(file, *verb, "--data", data)
        assert (result.exit_code, "flows.json.labels: No such file" in result.stderr) == (1, True)


def test_a_shelf_that_cannot_be_written_is_said_before_the_training(file: Path, shelf: Shelf) -> None:
    shelf.places.folder.parent.mkdir()
    shelf.places.folder.write_text("a file")
    result = call(file, "train", "--schema", "flow")
    assert (result.exit_code, "flow: learning" in result.stderr) == (1, False)
    assert str(shelf.places.folder) in result.stderr


def test_detectors_do_not_start_on_a_shelf_with_nothing_in_force(file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with file.open("a") as text:
        text.write(f"detectors: {{models: {tmp_path / 'empty'}}}\n")
    command = [sys.executable, "-m", "console.cli", "run", "detectors", "-c", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "no access model is in force" in ended.stderr) == (64, True)
