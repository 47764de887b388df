"""Lines are tried again when it is time, by a loop whose timers are early too."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import uvloop

from defense_lines import Hub, Ledger, Pace
from tests.defense_lines.line_rig import MemoryLine

DEADLINE = 20.0  # seconds; a bound for a busy machine, not an expectation
LINES = 30


def test_every_line_that_was_away_is_tried_again(tmp_path: Path) -> None:
    """A timer of uvloop's rings up to half a millisecond early."""

    async def all_up() -> None:
        lines = [MemoryLine(f"line-{number}") for number in range(LINES)]
        for line in lines:
            line.mood = "away"
        async with await Ledger.open(tmp_path / "ledger") as ledger, asyncio.TaskGroup() as tasks:
            hub = Hub(ledger, lines, pace=Pace(shortest=0.02, longest=0.05))
            running = tasks.create_task(hub.run())
            for _ in range(3):
                for line in lines:
                    line.calls.clear()
                await asyncio.wait_for(asyncio.gather(*(line.calls.wait() for line in lines)), DEADLINE)
            for line in lines:
                line.mood = "well"
            end = time.monotonic() + DEADLINE
            while any(status.state != "up" for status in hub.status()):
                assert time.monotonic() < end, hub.status()
                await asyncio.sleep(0.01)
            running.cancel()

    uvloop.run(all_up())
