"""Fifty deaths of `make chaos`'s thousand; and the same harness catches a ledger that does not sync."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.__main__ import SKIPPED

ROOT = Path(__file__).parents[2]
PROVE = os.environ.get("PORTCULLIS_PROVE") == "1"
KILLS = {"kept": 1000, "synced": 200} if PROVE else {"kept": 50}  # by what the gateway's death leaves
DEADLINE = 3600.0 if PROVE else 300.0  # seconds; a bound for a busy machine, not an expectation


async def chaos(folder: Path, *arguments: str) -> dict[str, Any]:
    """The last line of a run in a process of its own; the rest of what it says goes with a failure."""
    words = (sys.executable, "-m", "tests.chaos", "--keep", str(folder), *arguments)
    child = await asyncio.create_subprocess_exec(
        *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE):
            said, errors = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == SKIPPED:
        pytest.skip(errors.decode().splitlines()[-1])
    sys.stderr.write(errors.decode() + said.decode())
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    assert child.returncode == (figures["lost"] > 0)
    return figures


@pytest.mark.prove
@pytest.mark.parametrize("disk", KILLS)
async def test_nothing_is_lost_late_or_wrong_whoever_is_killed(tmp_path: Path, disk: str) -> None:
    figures = await chaos(tmp_path, "--kills", str(KILLS[disk]), "--disk", disk)
    assert figures["kills"] == KILLS[disk]
    assert figures["compared"] > 0
    findings = ("lost", "late", "gaps", "never_block_violations", "drift", "fell", "tracebacks")
    assert {name: figures[name] for name in findings} == dict.fromkeys(findings, 0)


async def test_a_ledger_whose_fsync_is_taken_out_is_caught(tmp_path: Path) -> None:
    figures = await chaos(tmp_path, "--kills", "1000", "--disk", "unsynced")
    assert figures["lost"] > 0
