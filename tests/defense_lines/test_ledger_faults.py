"""A disk that is full, read-only or slow: nothing is acknowledged that is not durable, and it is said at once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from defense_lines import Ledger, LedgerUnwritable
from defense_lines.ledger import committer
from tests.defense_lines.line_rig import block, permit

ROOT = Path(__file__).parents[2]
MOUNTED = """
import asyncio, subprocess, sys
from pathlib import Path
from defense_lines import Ledger, LedgerUnwritable
from tests.defense_lines.line_rig import block, permit

folder = Path(sys.argv[1])

def mount(*options):
    subprocess.run(["mount", *options, str(folder)], check=True)
"""
FULL = (
    MOUNTED
    + """
async def main():
    mount("-t", "tmpfs", "-o", "size=2m", "disk")
    async with await Ledger.open(folder / "ledger") as ledger:
        acknowledged, refused = [], 0
        while not refused:
            wanted = block("principal", "person:" + "x" * 400)
            try:
                await ledger.append(permit(wanted))
                acknowledged.append(wanted.id)
            except LedgerUnwritable as error:
                refused, said = 1, str(error)
        assert not ledger.writable
        assert [each.id for each in ledger.live(0.0)] == acknowledged
        for what in (ledger.snapshot(), ledger.compact(2e9, folder / "archive", "operator:jo")):
            try:
                await what
            except (LedgerUnwritable, OSError):
                pass
        mount("-o", "remount,size=8m")
        await ledger.append(permit(block()))
        assert ledger.writable
    async with await Ledger.open(folder / "ledger") as ledger:
        print(len(acknowledged), len(ledger.live(0.0)), said)

asyncio.run(main())
"""
)
READ_ONLY = (
    MOUNTED
    + """
async def main():
    async with await Ledger.open(folder / "ledger") as ledger:
        await ledger.append(permit(block()))
    mount("--bind", str(folder))
    mount("-o", "remount,bind,ro")
    try:
        await Ledger.open(folder / "ledger")
    except (LedgerUnwritable, OSError) as error:
        print(error)

asyncio.run(main())
"""
)


def in_own_mounts(program: str, folder: Path) -> str:
    """Run a program that may mount; what it printed."""
    folder.mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs mount namespaces")
    ran = subprocess.run(
        [*command, sys.executable, "-c", program, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1]


def test_a_disk_without_room_acknowledges_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    acknowledged, live, *said = in_own_mounts(FULL, tmp_path / "disk").split()
    assert int(live) == int(acknowledged) + 1 > 10
    assert "full" in said or "space" in said


def test_a_disk_that_is_read_only_is_named(tmp_path: Path) -> None:
    said = in_own_mounts(READ_ONLY, tmp_path / "disk").lower()
    assert "read-only" in said or "readonly" in said


async def test_a_disk_that_takes_long_counts_as_unwritable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(file: int) -> None:
        loop.call_soon_threadsafe(syncing.set)
        assert release.wait(30)

    async with await Ledger.open(tmp_path) as ledger:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", slow)
            appending = asyncio.create_task(ledger.append(permit(block())))
            async with asyncio.timeout(30):
                await syncing.wait()
                assert ledger.writable
                patched.setattr(committer, "SLOW", 0.0)
                assert not ledger.writable
                release.set()
                await appending
        assert ledger.writable


async def test_no_more_waits_for_the_disk_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "MAX_WAITING", 3)
    async with await Ledger.open(tmp_path) as ledger:
        with pytest.raises(LedgerUnwritable, match="wait for the disk"):
            await ledger.append_all([permit(block()) for _ in range(4)])
        await ledger.append_all([permit(block()) for _ in range(3)])
        assert ledger.head.seq == 3
