"""The command line: data on stdout, the rest on stderr, and the exit code says how it went."""

from __future__ import annotations

import asyncio
import importlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from console import client
from console.cli import app
from console.cli.exits import EXITS
from console.client import Client
from defense_lines.agent.libnftables import NoSuchTable
from defense_lines.ledger import Ledger, LedgerInUse, Places, Risk
from gateway.lifting import Selection
from telemetry import Event, Kind, json_line
from tests.console.bank_operations import BLOCK, CONFIGURATION, BankOperations, served

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bank() -> BankOperations:
    return BankOperations()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "portcullis.yaml"
    file.write_text(CONFIGURATION.format(state=tmp_path))
    return file


@pytest.fixture
def gateway(bank: BankOperations, tmp_path: Path) -> Iterator[BankOperations]:
    with served(bank, tmp_path / "run" / "admin.sock"):
        yield bank


def call(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "-c", str(file)])


def call_json(file: Path, *arguments: str) -> Any:
    result = call(file, *arguments, "-o", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_lists_for_programs_and_for_people(file: Path, gateway: BankOperations) -> None:
    assert call_json(file, "blocks", "list") == [BLOCK]
    assert call_json(file, "lines", "list")[0]["name"] == "edge"
    assert call_json(file, "status")["sessions"] == 2
    shown = call(file, "blocks", "list").stdout.splitlines()
    assert shown[0].split() == ["ID", "KIND", "VALUE", "EXPIRES", "REASON", "BY"]
    assert shown[1].startswith("b-1")
    assert "198.51.100.7" in shown[1]


def test_an_empty_list_is_a_list(file: Path, gateway: BankOperations) -> None:
    gateway.standing = []
    result = call(file, "blocks", "list", "-o", "json")
    assert (result.stdout, result.stderr) == ("[]\n", "")
    assert call(file, "blocks", "list").stdout == ""


def test_what_a_stranger_wrote_cannot_move_the_terminal(file: Path, gateway: BankOperations) -> None:
    shown = call(file, "sessions", "list").stdout
    assert "\x1b" not in shown
    assert "person:[bold]bob" in shown


def test_one_blocks_story(file: Path, gateway: BankOperations) -> None:
    shown = call(file, "blocks", "show", "b-1").stdout
    assert "enforced" in shown
    missing = call(file, "blocks", "show", "b-9")
    assert (missing.exit_code, missing.stdout, missing.stderr) == (1, "", "there is no such block\n")


def test_a_block_is_ordered(file: Path, gateway: BankOperations) -> None:
    answer = call_json(file, "blocks", "add", "actor", "agent:x", "--ttl", "10m", "--reason", "odd", "--by", "jo")
    assert answer == {"outcome": "accepted", "id": "b-2"}
    assert gateway.ordered[0][:5] == ("add", "actor", "agent:x", 600.0, "odd")
    assert gateway.ordered[0][5].startswith("jo as ")


def test_a_refused_block_is_a_failure_that_still_answers(file: Path, gateway: BankOperations) -> None:
    result = call(file, "blocks", "add", "address", "127.0.0.1", "--reason", "spoofed", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["reason"] == "never blocked"
    assert call(file, "blocks", "add", "address", "127.0.0.1", "--reason", "sure", "--override").exit_code == 0


def test_a_list_is_blocked(file: Path, gateway: BankOperations, tmp_path: Path) -> None:
    feed = tmp_path / "feed"
    feed.write_text(
        "# a partner's\n198.51.100.0/24 ; SBL1\r\n198.51.100.7\n\n198.51.100.7/32\n127.0.0.1\n203.0.113.9 # x"
    )
    result = call(file, "blocks", "import", str(feed), "--ttl", "1d", "--reason", "list", "--by", "jo", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "accepted": 2,
        "refused": 1,
        "held": 1,
        "others": [
            {"outcome": "refused", "reason": "never blocked"},
            {"outcome": "held", "block": "b-7", "reason": "it is many people's"},
        ],
    }
    assert [order[1:4] for order in gateway.ordered] == [
        ("range", "198.51.100.0/24", 86_400.0),
        ("address", "198.51.100.7", 86_400.0),
        ("address", "127.0.0.1", 86_400.0),
        ("address", "203.0.113.9", 86_400.0),
    ]
    feed.write_text("".join(f"10.{number >> 8}.{number & 255}.1\n" for number in range(1_200)))
    assert call_json(file, "blocks", "import", str(feed), "--reason", "list")["accepted"] == 1_200
    assert call_json(file, "blocks", "import", str(feed), "--reason", "list", "--dry-run")["held"] == 1_200


def test_a_list_with_a_line_that_names_nobody_blocks_nobody(
    file: Path, gateway: BankOperations, tmp_path: Path
) -> None:
    feed = tmp_path / "feed"
    feed.write_bytes(b"198.51.100.7\n10.0.0.1/8\n\xff")
    result = call(file, "blocks", "import", str(feed), "--reason", "list")
    assert result.exit_code == 2
    assert "2: range '10.0.0.1/8'" in " ".join(result.stderr.replace("│", " ").split())
    assert call(file, "blocks", "import", str(tmp_path / "none"), "--reason", "list").exit_code == 2
    assert gateway.ordered == []


def test_a_block_waits_for_a_second_person(file: Path, gateway: BankOperations) -> None:
    result = call(file, "blocks", "add", "address", "203.0.113.9", "--reason", "scan", "-o", "json")
    assert (result.exit_code, json.loads(result.stdout)["outcome"]) == (1, "held")
    assert call_json(file, "approvals", "list")[0]["radius"] == {"principals": 10_000}
    shown = call(file, "approvals", "list").stdout
    assert "it is many people's" in shown
    assert "radius" not in shown
    word = ("--reason", "I looked", "-o", "json")
    own = call(file, "approvals", "approve", "b-7", "--by", "jo", *word)
    assert (own.exit_code, json.loads(own.stdout)["rule"]) == (1, "four_eyes")
    assert (
        call_json(file, "approvals", "approve", "b-7", "--by", "kim", "--reason", "I looked")["outcome"] == "accepted"
    )
    assert call_json(file, "approvals", "decline", "b-7", "--by", "kim", "--reason", "no")["outcome"] == "declined"
    missing = call(file, "approvals", "approve", "b-9", "--by", "kim", *word)
    assert (missing.exit_code, missing.stderr) == (1, "no such block waits\n")
    assert [order[:2] for order in gateway.ordered[1:]] == [
        ("approve", "b-7"),
        ("approve", "b-7"),
        ("decline", "b-7"),
        ("approve", "b-9"),
    ]


def test_many_blocks_are_lifted_at_once(file: Path, gateway: BankOperations) -> None:
    since, until = "2026-11-23T09:00+00:00", "2026-11-23T10:00+00:00"
    everything = ("--cause", "v-1", "--detector", "flow", "--author", "analyst:jo", "--within", "10.0.0.0/8")
    call_json(file, "blocks", "lift", *everything, "--since", since, "--until", until, "--reason", "wrong model")
    ((_, selection, by, reason, dry_run),) = gateway.ordered
    assert selection == Selection(
        cause="v-1", detector="flow", author="analyst:jo", within="10.0.0.0/8", since=1795424400.0, until=1795428000.0
    )
    assert (by.partition(" ")[0] != "", reason, dry_run) == (True, "wrong model", False)
    call_json(file, "blocks", "lift", "--since", "2h", "--reason", "wrong model")
    assert time.time() - gateway.ordered[1][1].since == pytest.approx(7200, abs=60)
    assert call(file, "blocks", "lift", "--reason", "all of them").exit_code == 2
    assert call(file, "blocks", "lift", "--since", "yesterday", "--reason", "r").exit_code == 2
    assert call(file, "blocks", "lift", "--within", "10.0.0.1/8", "--reason", "r").exit_code == 1


def test_a_dry_run_changes_nothing(file: Path, gateway: BankOperations) -> None:
    would = call_json(file, "blocks", "add", "actor", "agent:x", "--reason", "odd", "--dry-run")
    assert (would["outcome"], would["sessions"]) == ("dry_run", 1)
    assert (would["would"], would["who"]) == ("held", ["person:bob"])
    lifted = call_json(file, "blocks", "lift", "--detector", "flow", "--reason", "odd", "--dry-run")
    assert (lifted["outcome"], lifted["blocks"]) == ("dry_run", 2)
    assert call_json(file, "blocks", "revoke", "b-1", "--reason", "odd", "--dry-run")["would_lift"]["id"] == "b-1"
    assert call_json(file, "sessions", "cut", "actor", "agent:x", "--reason", "odd", "--dry-run")["sessions"] == 1
    assert {order[0] for order in gateway.ordered} == {"cut", "lift all"}
    assert all(order[-1] is True for order in gateway.ordered)


def test_a_session_is_shown_and_so_are_the_cuts_that_there_were(file: Path, gateway: BankOperations) -> None:
    assert call_json(file, "sessions", "show", "d-1")["depends"] == ["data.risk"]
    assert call(file, "sessions", "show", "d-9").exit_code != 0
    (cut,) = call_json(file, "sessions", "cuts", "--limit", "1")
    assert (cut["signal"], cut["milliseconds"]) == ("risk", 1.2)


def test_a_block_is_lifted_and_sessions_are_cut(file: Path, gateway: BankOperations) -> None:
    assert call_json(file, "blocks", "revoke", "b-1", "--reason", "mistake")["outcome"] == "lifted"
    assert call_json(file, "sessions", "cut", "principal", "person:bob", "--reason", "odd")["outcome"] == "cut"
    assert call_json(file, "sessions", "list", "principal", "person:alice")[0]["id"] == "d-1"
    assert [order[0] for order in gateway.ordered] == ["lift", "cut"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("blocks", "add", "address", "not-an-address", "--reason", "r"),
        ("blocks", "add", "address", "198.51.100.7", "--reason", "r", "--ttl", "soon"),
        ("blocks", "add", "address", "198.51.100.7", "--reason", "r", "--ttl", "0"),
        ("blocks", "add", "moon", "x", "--reason", "r"),
        ("blocks", "add", "actor", "agent:x"),
        ("sessions", "list", "actor"),
        ("nothing",),
    ],
)
def test_usage(file: Path, gateway: BankOperations, arguments: tuple[str, ...]) -> None:
    result = call(file, *arguments)
    assert (result.exit_code, result.stdout, gateway.ordered) == (2, "", [])


def test_policy_goes_live_or_is_refused_with_its_lines(file: Path, gateway: BankOperations) -> None:
    assert call_json(file, "policy", "reload") == {"revision": "r-2"}
    gateway.problems = [{"file": "a.rego", "line": 3, "column": 7, "message": "unsafe variable x"}]
    result = call(file, "policy", "reload")
    assert (result.exit_code, result.stdout) == (3, "a.rego:3:7: unsafe variable x\n")
    assert json.loads(call(file, "policy", "reload", "-o", "json").stdout) == {"problems": gateway.problems}


def test_a_configuration_goes_live_or_is_refused_with_what_is_wrong(file: Path, gateway: BankOperations) -> None:
    live = {"outcome": "live", "changed": ["routes.0.prefix"], "sessions_ended": 0}
    assert call_json(file, "config", "reload") == live
    assert call_json(file, "config", "reload", "--dry-run") == live | {"outcome": "dry_run"}
    gateway.misconfigured = "needs a restart: edge.port"
    result = call(file, "config", "reload")
    assert (result.exit_code, result.stdout) == (3, "needs a restart: edge.port\n")
    told = json.loads(call(file, "config", "reload", "-o", "json").stdout)
    assert told == {"problems": [gateway.misconfigured]}


def test_a_policy_is_tried_before_it_goes_live(file: Path, gateway: BankOperations, tmp_path: Path) -> None:
    tried = call_json(file, "policy", "reload", "--dry-run")
    assert (tried["outcome"], tried["running"]) == ("dry_run", "r-1")
    assert tried["revision"] not in ("", "r-1")
    policy = tmp_path / "broken.rego"
    policy.write_text("package portcullis.access\n\ndecision := {\n")
    file.write_text(file.read_text() + f"policy: {{paths: [{policy}]}}\n")
    for output in ("human", "json"):
        result = call(file, "policy", "reload", "--dry-run", "-o", output)
        assert (result.exit_code, str(policy) in result.stdout) == (3, True)
    assert gateway.ordered == []


def test_people_see_of_a_line_what_they_act_on(file: Path, gateway: BankOperations) -> None:
    header, row = call(file, "lines", "list").stdout.splitlines()
    assert header.split() == ["NAME", "STATE", "SERVICE", "PENDING", "ENFORCED", "LAST_CONTACT", "LAST_ERROR"]
    assert row.split() == ["edge", "failing", "in_service", "7", "3", "-", "disk", "full"]
    assert call_json(file, "lines", "list")[0]["p99_ms"] == 4.2


def test_a_running_gateway_compacts_its_ledger(file: Path, gateway: BankOperations, tmp_path: Path) -> None:
    arguments = ("ledger", "compact", "--before", "90d", "--archive", str(tmp_path))
    assert call_json(file, *arguments)["moved"] == 5
    assert call_json(file, *arguments, "--dry-run")["outcome"] == "dry_run"
    asked = [(order[1], order[2], order[4]) for order in gateway.ordered]
    assert asked == [(90 * 86_400.0, str(tmp_path), False), (90 * 86_400.0, str(tmp_path), True)]
    nowhere = call(file, *arguments[:-1], "/nowhere")
    assert (nowhere.exit_code, "archive: /nowhere" in nowhere.stderr) == (1, True)


def test_a_compaction_may_take_its_time(file: Path, gateway: BankOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[object] = []
    connection = client._UnixConnection

    def opened(path: Path, seconds: float | None) -> object:
        patience.append(seconds)
        return connection(path, seconds)

    monkeypatch.setattr(client, "_UnixConnection", opened)
    assert call_json(file, "ledger", "compact", "--before", "90d", "--archive", "/archive")["moved"] == 5
    assert patience == [None]


def test_a_gateway_that_goes_away_while_it_compacts_leaves_its_ledger_alone(file: Path, tmp_path: Path) -> None:
    """It may be starting again: only where nobody listens the command takes the ledger itself."""
    asyncio.run(_recorded(tmp_path / "ledger", 1e9))
    compact = ("ledger", "compact", "--before", "90d", "--archive", str(tmp_path / "archive"))
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run" / "admin.sock"))
        server.listen()
        closing = threading.Thread(target=lambda: server.accept()[0].close())
        closing.start()
        result = call(file, *compact)
        closing.join(10)
    assert (result.exit_code, (tmp_path / "archive").exists()) == (1, False)
    assert "gateway" in result.stderr
    assert call_json(file, *compact)["moved"] == 1  # the socket is there, and nobody listens


async def _recorded(folder: Path, now: float) -> None:
    async with await Ledger.open(folder, lambda: now) as ledger:
        await ledger.append(Risk(principal="person:tina", level="high", expires=now, reason="", by="policy:x"))


def test_one_line_is_shown_tried_and_taken_out_of_service(file: Path, gateway: BankOperations) -> None:
    assert call_json(file, "lines", "show", "edge")["p99_ms"] == 4.2
    assert call_json(file, "lines", "test", "edge", "--reason", "is it there?")["enforced_ms"] == 1.2
    assert call(file, "lines", "test", "deaf", "--reason", "is it there?").exit_code == 1
    assert call_json(file, "lines", "drain", "edge", "--reason", "patched", "--dry-run") == {
        "outcome": "dry_run",
        "line": "edge",
        "service": "in_service",
        "would_be": "drained",
    }
    for verb, service in (("drain", "drained"), ("quarantine", "quarantined"), ("resume", "in_service")):
        answer = call_json(file, "lines", verb, "edge", "--reason", "patched", "--by", "jo")
        assert answer == {"outcome": service, "line": "edge"}
    asked = [(order[0], order[1], order[2]) for order in gateway.ordered if order[0] == "serve"]
    assert asked == [("serve", "edge", service) for service in ("drained", "quarantined", "in_service")]
    for verb in ("show", "test", "drain"):
        arguments = () if verb == "show" else ("--reason", "a typing error")
        unknown = call(file, "lines", verb, "nobody", *arguments)
        assert (unknown.exit_code, "there is no such line" in unknown.stderr) == (1, True)


def test_a_dry_run_of_an_import_reads_and_keeps_nothing(file: Path, gateway: BankOperations, tmp_path: Path) -> None:
    events = tmp_path / "seen.json"
    good, impossible = (Event(time=when, kind=Kind.FLOW, source="branch-7") for when in (1.7e9, 9e9))
    events.write_bytes(b"\n".join([json_line(good), json_line(impossible), b"not an event"]) + b"\n")
    (told,) = call_json(file, "events", "import", str(events), "--dry-run")
    assert (told["events"], told["refused"], told["malformed"]) == (1, {"in_future": 1}, {"not_json": 1})
    assert (gateway.ordered, (tmp_path / "rejects.jsonl").exists()) == ([], False)


def test_events_are_shown_as_they_happen(file: Path, gateway: BankOperations) -> None:
    lines = call(file, "events", "tail", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["resource"] for line in lines] == [f"/accounts/{number}" for number in range(3)]
    assert "GET  /accounts/1" in call(file, "events", "tail").stdout


def test_a_file_of_events_is_imported(file: Path, gateway: BankOperations, tmp_path: Path) -> None:
    events = tmp_path / "seen.json"
    events.write_bytes(json_line(Event(time=1.7e9, kind=Kind.FLOW, source="branch-7")) + b"\nnot an event\n")
    (told,) = call_json(file, "events", "import", str(events))
    assert (told["format"], told["events"], told["malformed"]) == ("events", 1, {"not_json": 1})
    assert told["refused"] == {}
    assert gateway.ordered == [("import", 1)]
    assert "not an event" in (tmp_path / "rejects.jsonl").read_text()


def test_events_that_the_gateway_refuses_are_told(file: Path, gateway: BankOperations, tmp_path: Path) -> None:
    events = tmp_path / "seen.json"
    events.write_bytes(b"".join(json_line(Event(time=n, kind=Kind.FLOW, source="x")) + b"\n" for n in (1.0, 9e9)))
    (told,) = call_json(file, "events", "import", str(events))
    assert (told["events"], told["refused"]) == (1, {"in_future": 1})


def test_a_full_disk_is_told_and_is_a_failure(file: Path, gateway: BankOperations) -> None:
    gateway.full = True
    result = call(file, "blocks", "add", "address", "198.51.100.9", "--ttl", "60s", "--reason", "scan")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "disk full" in result.stderr


def test_a_file_of_nothing_known_is_a_failure(file: Path, gateway: BankOperations) -> None:
    result = call(file, "events", "import", str(file))
    assert (result.exit_code, result.stdout, gateway.ordered) == (1, "", [])


def test_no_gateway(file: Path) -> None:
    result = call(file, "status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is `portcullis up` running?" in result.stderr


@pytest.mark.parametrize("command", [("status",), ("up",), ("run", "gateway"), ("config", "check"), ("blocks", "list")])
def test_bad_configuration_is_64_and_names_the_key(tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(CONFIGURATION.format(state=tmp_path) + "edge: {prot: 1}\n")
    result = call(file, *command)
    assert (result.exit_code, result.stdout) == (64, "")
    assert f"{file}:4: edge.prot: unknown key; did you mean 'port'?" in result.stderr
    assert {each.name for each in tmp_path.iterdir()} == {"bad.yaml"}


def test_every_known_error_exists() -> None:
    for name in EXITS:
        module, _, error = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), error), Exception)


@pytest.mark.parametrize("command", [("up",), ("run", "gateway")])
def test_a_state_folder_that_cannot_be_had_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "portcullis.yaml"
    file.write_text(CONFIGURATION.format(state="/proc/portcullis"))  # where not even root makes a folder
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", *command, "-c", str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "/proc/portcullis" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (LedgerInUse("ledger.db is open elsewhere"), "ledger.db is open elsewhere\n"),
        (PermissionError(13, "Permission denied", "/state"), "/state: Permission denied\n"),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [NoSuchTable("no table")])]), "no table\n"),
    ],
)
def test_a_known_fault_is_one_line_and_exit_code_1(
    file: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, told: str
) -> None:
    def ask(*_: object) -> None:
        raise fault

    monkeypatch.setattr(Client, "ask", ask)
    result = call(file, "status")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", told)


def test_an_unknown_fault_beside_a_known_one_keeps_its_traceback(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> None:
        raise ExceptionGroup("tasks", [OSError("disk"), ZeroDivisionError()])

    monkeypatch.setattr(Client, "ask", ask)
    assert isinstance(call(file, "status").exception, ExceptionGroup)


@pytest.mark.parametrize("engine", ["embedded", "opa"])
def test_a_policy_that_does_not_compile_is_64_before_anything_starts(file: Path, tmp_path: Path, engine: str) -> None:
    policy = tmp_path / "broken.rego"
    policy.write_text("package portcullis.access\n\ndecision := {\n")
    file.write_text(file.read_text() + f"policy: {{engine: {engine}, paths: [{policy}]}}\n")
    result = call(file, "up")
    assert (result.exit_code, result.stdout) == (64, "")
    assert f"{policy}:3:" in result.stderr or f"{policy}:4:" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("asked", "about"), [((), "access.decision"), (("access",), "access.decision"), (("signals",), "signals.signalled")]
)
def test_what_policy_sees_is_published(asked: tuple[str, ...], about: str) -> None:
    told = CliRunner().invoke(app, ["policy", "schema", *asked])
    assert (told.exit_code, json.loads(told.stdout)["title"]) == (0, f"input of data.portcullis.{about}")


def test_policy_check_names_each_problem(tmp_path: Path) -> None:
    starter = Path(__file__).parents[2] / "policy" / "starter"
    good = CliRunner().invoke(app, ["policy", "check", str(starter), "-o", "json"])
    assert (good.exit_code, good.stdout) == (0, "[]\n")
    unsafe = tmp_path / "unsafe.rego"
    unsafe.write_text(
        'package portcullis.access\n\ndecision := {"effect": "allow"} if {\n\tinput.action == actoin\n}\n'
    )
    bad = CliRunner().invoke(app, ["policy", "check", str(unsafe)])
    assert bad.exit_code == 3, bad.output
    assert bad.stdout.startswith(f"{unsafe}:")


def test_config_check_shows_each_value_its_origin_and_no_secret(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTCULLIS__POLICY__OPA__TOKEN", "hunter2")
    settings = {each["key"]: each for each in call_json(file, "config", "check")}
    assert settings["edge.port"] == {"key": "edge.port", "value": 8443, "origin": "default"}
    assert settings["services.accounts.port"]["origin"] == f"{file}:2"
    assert settings["policy.opa.token"]["origin"] == "environment PORTCULLIS__POLICY__OPA__TOKEN"
    assert "hunter2" not in call(file, "config", "check").output


def test_an_audit_needs_a_ledger(file: Path) -> None:
    result = call(file, "audit", "verify")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no ledger" in result.stderr


def test_an_audit_finds_what_was_altered(file: Path, tmp_path: Path) -> None:
    async def found() -> None:
        await (await Ledger.open(tmp_path / "ledger")).close()

    asyncio.run(found())
    assert call_json(file, "audit", "verify") == []
    Places(tmp_path / "ledger").head.unlink()
    result = call(file, "audit", "verify", "-o", "json")
    assert (result.exit_code, json.loads(result.stdout)[0]["what"]) == (3, "the head file is missing")


async def written(folder: Path, reason: str) -> str:
    """Write a ledger of two entries; its head after the first, as a receipt has it."""
    async with await Ledger.open(folder) as ledger:
        await ledger.append(Risk(principal="person:tina", level="high", expires=2e9, reason=reason, by="analyst:jo"))
        head = str(ledger.head)
        await ledger.append(Risk(principal="person:tina", level="low", expires=2e9, reason=reason, by="analyst:jo"))
    return head


async def test_a_forged_history_with_its_own_key_is_found_by_what_was_kept_elsewhere(
    file: Path, tmp_path: Path
) -> None:
    ours, forged = tmp_path / "ledger", tmp_path / "forged"
    head, other = await written(ours, "odd"), await written(forged, "nothing was odd")
    shutil.copy(ours / "ledger.pub", tmp_path / "kept.pub")
    kept = ("--public-key", str(tmp_path / "kept.pub"))

    def audit(*arguments: str) -> tuple[int, str]:
        result = call(file, "audit", "verify", *arguments)
        return result.exit_code, result.stdout

    assert audit(*kept, "--head", head, "--head", head.rpartition(":")[0]) == (0, "")
    assert audit("--ledger", str(forged)) == (0, "")  # by the key beside it, which is why one is kept
    code, told = audit("--ledger", str(forged), *kept)
    assert (code, "signature is not the ledger's" in told) == (3, True)
    code, told = audit("--ledger", str(forged), "--head", head)
    assert (code, "another entry stands there" in told) == (3, True)
    code, told = audit("--head", other.replace("1:", "7:", 1))
    assert (code, "there is no such entry" in told) == (3, True)


@pytest.mark.parametrize("key", [None, b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
async def test_a_public_key_that_is_none_is_a_finding(file: Path, tmp_path: Path, key: bytes | None) -> None:
    await written(tmp_path / "ledger", "odd")
    places = Places(tmp_path / "ledger")
    places.public_key.unlink()
    if key is not None:
        places.public_key.write_bytes(key)
    result = call(file, "audit", "verify", "-o", "json")
    (found,) = json.loads(result.stdout)
    assert (result.exit_code, "the public key cannot be read" in found["what"]) == (3, True)


@pytest.mark.parametrize("head", ["", "1", "1:abc", f"-1:{'0' * 64}", f"1:{'g' * 64}", f"²:{'0' * 64}"])
def test_a_head_that_is_none_is_not_understood(file: Path, head: str) -> None:
    assert call(file, "audit", "verify", "--head", head).exit_code == 2


FAILING = """
import sys
import threading
import structlog
from console.cli import main
from console.client import Client

def leak(self, method, path, body=None):
    token = "eyJ" + "hbGci"
    try:
        raise ValueError("no answer")
    except ValueError:
        structlog.get_logger().exception("asking failed")
    return {}

Client.ask = leak
sys.argv = ["portcullis", "status", "-c", sys.argv[1]]
main()
"""


def test_every_command_logs_without_what_variables_held(file: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FAILING, str(file)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(done.stderr)["event"] == "asking failed"
    assert "eyJhbGci" not in done.stderr
