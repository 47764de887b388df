"""Fifty deaths of `make chaos`'s thousand; and the same harness catches a ledger that does not sync."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.__main__ import SKIPPED

ROOT = Path(__file__).parents[2]
DEADLINE = 300.0  # seconds; a bound for a busy machine, not an expectation


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


@pytest.mark.parametrize("disk", ["kept", "synced"])
async def test_nothing_is_lost_late_or_wrong_whoever_is_killed(tmp_path: Path, disk: str) -> None:
    kills = 50 if disk == "kept" else 15
    figures = await chaos(tmp_path, "--kills", str(kills), "--disk", disk)
    assert figures["kills"] == kills
    assert figures["compared"] > 0
    findings = ("lost", "late", "never_block_violations", "drift", "fell", "tracebacks")
    assert {name: figures[name] for name in findings} == dict.fromkeys(findings, 0)


async def test_a_ledger_whose_fsync_is_taken_out_is_caught(tmp_path: Path) -> None:
    figures = await chaos(tmp_path, "--kills", "1000", "--disk", "unsynced")
    assert figures["lost"] > 0
