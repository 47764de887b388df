"""How a canary's watch ends: whole or not at all, whatever the disk, a crash or an operator does meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from defense_lines import LedgerUnwritable
from gateway import lifting
from gateway.app import Gateway
from gateway.lifting import Selection
from gateway.operations import GatewayOperations
from telemetry import Event, EventBatch, Kind
from tests.gateway.disk_rig import Disk
from tests.gateway.edge_rig import until
from tests.gateway.test_guarding import OFFICE, add, meet, opened, records


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
async def gateway(tmp_path: Path, disk: Disk) -> AsyncIterator[Gateway]:
    async with opened(tmp_path, watch_seconds=1) as running:
        meet(running, 8)
        yield running


def standing(gateway: Gateway) -> list[tuple[str, ...]]:
    return [block.lines for block in gateway.ledger.live(time.time())]


def refused(gateway: Gateway, block: str) -> None:
    """The edge's log says that the office is refused."""
    names = [f"person:{number}" for number in range(8)]
    events = [
        Event(
            time=time.time(),
            kind=Kind.REQUEST,
            source="edge",
            subject=name,
            address=OFFICE,
            outcome="deny",
            name=block,
            status=403,
        )
        for name in names
    ]
    gateway.door.publish(EventBatch.of(events))


async def test_a_promotion_is_one_commit(gateway: Gateway, disk: Disk) -> None:
    """A crash before it leaves a canary that is watched, and after it a block on all lines."""
    answer = await add(gateway)
    assert answer["outcome"] == "canary"
    await until(lambda: standing(gateway) == [()], "it is on all lines")
    assert ["block", "concluded", "lift"] in disk.commits
    (concluded,), blocks = await records(gateway, "concluded"), await records(gateway, "block")
    assert [block.block for block in blocks] == [answer["block"], concluded.follows]
    await until(lambda: gateway.blocklist.active() == [concluded.follows], "the edge has changed over")


@pytest.mark.parametrize("by_cause", [False, True])
async def test_a_canary_lifted_while_it_is_promoted_is_lifted(gateway: Gateway, disk: Disk, by_cause: bool) -> None:
    answer = await add(gateway)
    operations = GatewayOperations(gateway)
    disk.stops_at = "concluded"
    await until(disk.stopped.is_set, "the promotion is being written")
    if by_cause:
        selection = Selection(author="analyst:jo as root")
        lift = asyncio.create_task(operations.lift_blocks(selection, "kim", "no", False))
    else:
        lift = asyncio.create_task(operations.lift_block(answer["block"], "kim", "no"))
    await until(lambda: not gateway.guarding.watches, "it is no longer watched")
    disk.goes_on.set()
    assert (await lift)["outcome"] == "lifted"
    assert standing(gateway) == []  # now: a crash leaves nothing of what is said to be lifted
    assert ["lift", "lift"] in disk.commits
    await until(lambda: gateway.blocklist.active() == [], "the edge lets go of it")
    assert not gateway.guarding.watches


async def test_a_canary_that_was_promoted_while_others_were_lifted_is_lifted_with_them(
    gateway: Gateway, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifting, "_AT_ONCE", 1)
    operations = GatewayOperations(gateway)
    await add(gateway, "192.0.2.200")  # this is lifted first
    canary = await add(gateway)
    disk.stops_at = "concluded"
    await until(disk.stopped.is_set, "the promotion is being written")
    selection = Selection(author="analyst:jo as root")
    lifts = asyncio.create_task(operations.lift_blocks(selection, "kim", "no", False))
    await asyncio.sleep(0.05)  # it has found what stands, and waits for the disk
    disk.goes_on.set()
    assert (await lifts)["blocks"] == 2
    assert standing(gateway) == []
    before = len(await records(gateway, "lift"))
    assert (await operations.lift_block(canary["block"], "kim", "no"))["outcome"] == "unknown"
    assert len(await records(gateway, "lift")) == before
    assert not gateway.guarding.watches


async def test_who_lifts_a_canary_that_made_way_lifts_what_follows(gateway: Gateway) -> None:
    canary = await add(gateway)
    await until(lambda: standing(gateway) == [()], "it is on all lines")
    answer = await GatewayOperations(gateway).lift_block(canary["block"], "kim", "no")
    assert (answer["outcome"], standing(gateway)) == ("lifted", [])
    (concluded,), lifts = await records(gateway, "concluded"), await records(gateway, "lift")
    assert [lift.block for lift in lifts] == [canary["block"], concluded.follows]


async def test_a_lift_that_cannot_be_written_leaves_no_watch_of_a_canary_that_made_way(
    gateway: Gateway, disk: Disk
) -> None:
    answer = await add(gateway)
    disk.stops_at = "concluded"
    await until(disk.stopped.is_set, "the promotion is being written")
    lift = asyncio.create_task(GatewayOperations(gateway).lift_block(answer["block"], "kim", "no"))
    await until(lambda: not gateway.guarding.watches, "it is no longer watched")
    disk.full_for = ["lift", "lift"]
    disk.goes_on.set()
    with pytest.raises(LedgerUnwritable):
        await lift
    assert standing(gateway) == [()]
    assert answer["block"] not in gateway.guarding.watches


async def test_a_canary_lifted_in_time_is_never_promoted(gateway: Gateway, disk: Disk) -> None:
    answer = await add(gateway)
    disk.stops_at = "lift"
    lift = asyncio.create_task(GatewayOperations(gateway).lift_block(answer["block"], "kim", "no"))
    await until(disk.stopped.is_set, "the lift is being written")
    await asyncio.sleep(1.2)  # its watch is over meanwhile
    disk.goes_on.set()
    assert (await lift)["outcome"] == "lifted"
    await asyncio.sleep(0.6)  # a look later
    assert standing(gateway) == []
    assert await records(gateway, "concluded") == []


async def test_a_promotion_that_cannot_be_written_is_tried_again(gateway: Gateway, disk: Disk) -> None:
    answer = await add(gateway)
    disk.full = True
    await until(lambda: disk.refused.count(["block", "concluded", "lift"]) > 1, "it is tried twice")
    assert gateway.blocklist.active() == [answer["block"]]
    disk.full = False
    await until(lambda: standing(gateway) == [()], "it is on all lines")
    assert len(await records(gateway, "block")) == 2


async def test_a_canary_that_could_not_be_written_is_promoted_once_it_is(gateway: Gateway, disk: Disk) -> None:
    disk.full = True
    with pytest.raises(LedgerUnwritable):
        await add(gateway)
    await asyncio.sleep(1.6)  # its watch is over
    assert standing(gateway) == []
    disk.full = False
    await until(lambda: standing(gateway) == [()], "it is on all lines")


async def test_a_canary_that_is_written_late_is_watched_on_after_a_restart(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path, watch_seconds=600) as gateway:
        meet(gateway, 8)
        disk.full = True
        with pytest.raises(LedgerUnwritable):
            await add(gateway)
        disk.full = False
        await until(lambda: standing(gateway) == [("edge",)], "it is written")
        assert ["staged", "block"] in disk.commits
    async with opened(tmp_path, watch_seconds=600) as gateway:
        assert len(gateway.guarding.watches) == 1


async def test_harm_that_cannot_be_written_is_taken_back_and_remembered_later(tmp_path: Path, disk: Disk) -> None:
    async with opened(tmp_path, watch_seconds=30) as gateway:
        meet(gateway, 8)
        answer = await add(gateway)
        disk.full = True
        refused(gateway, answer["block"])
        await until(lambda: disk.refused.count(["lift", "concluded"]) > 1, "it is tried twice")
        assert standing(gateway) == [("edge",)]
        disk.full = False
        await until(lambda: standing(gateway) == [], "it is taken back")
        assert ["lift", "concluded"] in disk.commits
    async with opened(tmp_path) as gateway:
        again = await add(gateway)
        assert (again["outcome"], again["rule"]) == ("held", "rolled_back")
