"""Consumers of ours through the hub, which decides what they are told and asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from defense_lines import Capabilities, Hub, Ledger, Pace
from defense_lines.lines.openc2 import OpenC2Line
from defense_lines.lines.openc2_plan import TARGETS
from defense_lines.lines.openc2_producer import Producer
from tests.defense_lines.line_rig import permit
from tests.defense_lines.openc2_rig import KEY, Filter, Slow, block, consumers, ids, mosquitto

QUICK = Pace(deadline=2, listing=30, shortest=0.01, longest=0.05, reconcile=0.05)
ROOM = 2  # rules


@asynccontextmanager
async def hub_over(folder: Path, *walls: Filter) -> AsyncIterator[Hub]:
    """A hub whose lines are the consumers over these firewalls, once all of them are up."""
    async with (
        asyncio.timeout(20),
        mosquitto(folder) as broker,
        consumers(broker, *walls),
        await Ledger.open(folder / "ledger") as ledger,
        asyncio.TaskGroup() as group,
    ):
        made = Producer(broker, KEY)
        hub = Hub(ledger, [OpenC2Line(f"fw-{number}", made) for number in range(len(walls))], pace=QUICK)
        tasks = [group.create_task(hub.run()), group.create_task(made.run(hub.wake))]
        while set(hub.states().values()) != {"up"}:  # noqa: ASYNC110 - a state tells nobody
            await asyncio.sleep(0.01)
        yield hub
        for task in tasks:
            task.cancel()


async def test_what_a_full_consumer_had_no_room_for_comes_to_stand_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("defense_lines.agent.openc2_profile.MAX_RULES", ROOM)
    monkeypatch.setattr(OpenC2Line, "capabilities", Capabilities(targets=TARGETS, room=ROOM))
    wall = Filter(time.time)
    made = [block(number, f"198.51.100.{number}") for number in range(1, 6)]
    async with hub_over(tmp_path, wall) as hub:
        for each in made[:3]:
            await hub.submit(permit(each))
            await hub.settled(each.id, 5)
        await asyncio.gather(*(hub.submit(permit(each)) for each in made[3:]))  # in one command
        assert (await hub.settled(made[-1].id, 5))["fw-0"] == "refused"  # it waits, and keeps nothing else waiting
        assert wall.blocks == ids(made[:ROOM])
        for each in made[:3]:
            await hub.lift(each.id, "analyst:jo", "a mistake")
        while wall.blocks != ids(made[3:]):  # noqa: ASYNC110 - a firewall tells nobody
            await asyncio.sleep(0.01)


async def test_an_order_does_not_wait_for_a_consumer_that_lists(tmp_path: Path) -> None:
    wall, told = Slow(), block(1)
    async with hub_over(tmp_path, wall) as hub:
        wall.go.clear()
        wall.listing.clear()
        await wall.listing.wait()
        await hub.submit(permit(told))
        assert (await hub.settled(told.id, 5))["fw-0"] == "enforced"
        assert wall.blocks == ids([told])
        wall.go.set()
