"""`portcullis ledger`: archives and backups by hand; nothing is overwritten, and what went wrong is one line."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from console.cli import app
from defense_lines.ledger import Ledger, Places, Risk


@pytest.fixture
def places(tmp_path: Path) -> Places:
    asyncio.run(written(tmp_path / "ledger"))
    return Places(tmp_path / "ledger")


async def written(folder: Path) -> None:
    """Three entries, 100 days old."""
    long_ago = time.time() - 100 * 86_400
    async with await Ledger.open(folder, lambda: long_ago) as ledger:
        for level in ("low", "medium", "high"):
            await ledger.append(
                Risk(principal="person:tina", level=level, expires=time.time() + 60, reason="", by="policy:x")
            )


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def call_json(*arguments: str | Path) -> Any:
    result = call(*arguments, "-o", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_old_entries_go_into_an_archive_that_an_audit_follows(places: Places, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    compact = ("ledger", "compact", "--before", "90d", "--archive", archive, "--ledger", places.folder)
    would = call_json(*compact, "--dry-run")
    assert (would["outcome"], would["moved"], would["kept"], archive.exists()) == ("dry_run", 3, 1, False)
    did = call_json(*compact)
    assert did == would | {"outcome": "compacted"}
    alone = call("audit", "verify", "--ledger", places.folder)
    assert alone.exit_code == 0
    assert "entries up to 3 lie in archives" in alone.stderr
    verify = ("audit", "verify", "--ledger", places.folder, "--archive", archive)
    whole = call(*verify)
    assert (whole.exit_code, "archives" in whole.stderr) == (0, False)
    Path(did["archive"]).unlink()
    missing = call(*verify)
    assert (missing.exit_code, "archives end at entry 0" in missing.stdout) == (3, True)


def test_a_head_is_found_in_an_archive(places: Places, tmp_path: Path) -> None:
    async def hash_of(seq: int) -> str:
        async with await Ledger.open(places.folder) as ledger:
            return (await ledger.since(seq - 1, 1))[0].hash.hex()

    head = f"1:{asyncio.run(hash_of(1))}"
    call("ledger", "compact", "--before", "90d", "--archive", tmp_path / "archive", "--ledger", places.folder)
    verify = ("audit", "verify", "--ledger", places.folder, "--head", head)
    assert call(*verify).exit_code == 3
    assert call(*verify, "--archive", tmp_path / "archive").exit_code == 0


def test_a_backup_takes_the_place_of_a_lost_ledger(places: Places, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    told = call_json("ledger", "backup", backup, "--ledger", places.folder)
    assert (told["head"][:2], told["names"]) == ("3:", f"{backup}.names")
    again = call("ledger", "backup", backup, "--ledger", places.folder)
    assert (again.exit_code, again.stderr) == (1, f"{backup} is there already\n")
    refused = call("ledger", "restore", backup, "--ledger", places.folder)
    assert (refused.exit_code, "takes the place of nothing" in refused.stderr) == (1, True)
    new = tmp_path / "new"
    new.mkdir()
    without = call("ledger", "restore", backup, "--ledger", new)
    assert (without.exit_code, "ledger.key" in without.stderr) == (1, True)
    for path in (places.key, places.public_key):
        shutil.copy(path, new)
    assert call_json("ledger", "restore", backup, "--ledger", new)["head"].startswith("4:")
    assert call("audit", "verify", "--ledger", new, "--public-key", places.public_key).exit_code == 0


async def test_a_ledger_in_use_is_backed_up_and_not_compacted(places: Places, tmp_path: Path) -> None:
    async with await Ledger.open(places.folder):
        backed = await asyncio.to_thread(call, "ledger", "backup", tmp_path / "b", "--ledger", places.folder)
        assert backed.exit_code == 0
        archive = ("--archive", tmp_path / "archive")
        refused = await asyncio.to_thread(
            call, "ledger", "compact", "--before", "90d", *archive, "--ledger", places.folder
        )
        assert (refused.exit_code, "is open elsewhere" in refused.stderr) == (1, True)


@pytest.mark.parametrize("verb", ["backup", "restore", "compact"])
def test_what_is_not_there_is_said(tmp_path: Path, verb: str) -> None:
    arguments = ("--before", "90d", "--archive", tmp_path) if verb == "compact" else (tmp_path / "file",)
    result = call("ledger", verb, *arguments, "--ledger", tmp_path / "none")
    assert (result.exit_code, "there is no" in result.stderr) == (1, True)


def test_a_backup_that_is_none_is_refused(places: Places, tmp_path: Path) -> None:
    (tmp_path / "backup").write_bytes(b"nothing of the sort" * 1000)
    places.database.unlink()
    places.head.unlink()
    result = call("ledger", "restore", tmp_path / "backup", "--ledger", places.folder)
    assert (result.exit_code, "damaged" in result.stderr) == (1, True)
    assert not places.database.exists()
