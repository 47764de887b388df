"""Power loss: whatever was not synced is gone, and every block that was acknowledged is there."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import textwrap
import time
from pathlib import Path

import pytest

from defense_lines import Blocked, Ledger, LedgerAltered, Places, public_key, verify
from tests.defense_lines.power import Power

ROOT = Path(__file__).parents[2]
CUTS = 100 if os.environ.get("PORTCULLIS_PROVE") == "1" else 4
APPENDING = """
import asyncio, sqlite3, sys, time
from pathlib import Path
from defense_lines import *
from policy import *

if sys.argv[2:] == ["never synced"]:
    class Careless(sqlite3.Connection):
        def execute(self, statement, *values):
            return super().execute(statement.replace("synchronous = FULL", "synchronous = OFF"), *values)
    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Careless, **options)

async def main():
    guard = Guard(GuardLimits(blocks_per_minute=10**9))
    async with await Ledger.open(Path(sys.argv[1])) as ledger:
        async def forever(start):
            for number in range(start, 10**9, 4):
                now = time.time()
                kind, value = [("address", "198.51.100.7"), ("principal", f"person:{number}")][number % 2]
                block = BlockPolicy(id=f"b-{number}", target=Target.of(kind, value), created=now, expires=now + 600,
                                    cause=Cause(reason="x" * (number % 700), by="detector:access"))
                entry = await ledger.append(guard.judge(block, now))
                if number % 40 == 0:
                    await ledger.snapshot()
                print(entry.seq, block.id, flush=True)
        await asyncio.gather(*(forever(start) for start in range(4)))

asyncio.run(main())
"""


async def killed(power: Power, acknowledgements: int, *how: str, ignoring: tuple[str, ...] = ()) -> dict[str, str]:
    """A child that appended without pause, killed: what it had acknowledged, by entry."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(APPENDING), str(power.folder), *how,
        cwd=ROOT, env=power.environment(ignoring), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout
    async with asyncio.timeout(60):
        said = [await child.stdout.readline() for _ in range(acknowledgements)]
        child.kill()
        said += (await child.stdout.read()).splitlines(keepends=True)
        await child.wait()
    return dict(line.decode().split() for line in said if line.endswith(b"\n"))


async def held(folder: Path) -> dict[str, str]:
    """The blocks in a ledger, by entry."""
    async with await Ledger.open(folder) as ledger:
        entries = await ledger.since(0, 10**6, ["block"])
        found = {str(entry.seq): entry.record.block for entry in entries if isinstance(entry.record, Blocked)}
        assert {each.id for each in ledger.live(time.time())} == set(found.values())
    places = Places(folder)
    assert verify(places.database, places.head, public_key(places.public_key)) == ()
    return found


async def survived(folder: Path, told: dict[str, str]) -> bool:
    """Whether a ledger that opens holds all that was acknowledged."""
    try:
        return told.items() <= (await held(folder)).items()
    except LedgerAltered:
        return False


@pytest.mark.prove
@pytest.mark.parametrize("number", range(CUTS))
async def test_what_was_acknowledged_survives_the_loss_of_power(tmp_path: Path, number: int) -> None:
    chance = random.Random(number)
    power = Power(tmp_path / "ledger", tmp_path / "scratch")
    told = await killed(power, chance.randrange(1, 300))
    assert told.items() <= (await held(power.cut(tmp_path / "after"))).items()
    assert told.items() <= (await held(power.cut(tmp_path / "torn", chance))).items()


@pytest.mark.parametrize("how", ["never synced", "ignored"])
async def test_a_ledger_that_does_not_sync_is_caught(tmp_path: Path, how: str) -> None:
    """The same harness: without the database's sync, acknowledged blocks are gone, or the ledger does not open."""
    power = Power(tmp_path / "ledger", tmp_path / "scratch")
    if how == "ignored":
        told = await killed(power, 50, ignoring=("ledger.db", "ledger.db-wal"))
    else:
        told = await killed(power, 50, how)
    assert not await survived(power.cut(tmp_path / "after"), told)


def begun(folder: Path) -> None:
    """Returns as soon as there is a file."""
    while not any(folder.iterdir()):
        time.sleep(0)


async def test_a_founding_that_the_power_interrupts_is_begun_again(tmp_path: Path) -> None:
    """Killed while it makes its files: what is left is no ledger yet, or one that opens."""
    power = Power(tmp_path / "ledger", tmp_path / "scratch")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(APPENDING), str(power.folder), cwd=ROOT, env=power.environment()
    )
    async with asyncio.timeout(60):
        await asyncio.to_thread(begun, power.folder)
        child.kill()
        await child.wait()
    assert len(await held(power.cut(tmp_path / "after"))) >= 0
