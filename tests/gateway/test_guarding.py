"""Approvals, dry runs and lifts on a whole gateway without its edge; and what a restart leaves of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from defense_lines import Approval, Blocked, Held, LedgerUnwritable, Refused
from defense_lines.ledger import store
from gateway.app import Gateway
from gateway.config import Config, Guard, Route, Service
from gateway.lifting import Selection
from gateway.operations import GatewayOperations
from policy import Cause
from tests.gateway.edge_rig import until

OFFICE = "203.0.113.9"
JO, KIM = "jo as root", "kim as soc"
EDGE, BACKEND = "192.0.2.10", "192.0.2.80"


@asynccontextmanager
async def opened(folder: Path, **guard: Any) -> AsyncIterator[Gateway]:
    (folder / "run").mkdir(mode=0o700, exist_ok=True)
    config = Config(
        state=folder,
        services={"bank": Service(address=BACKEND, port=1)},
        routes=(Route(prefix="/", service="bank"),),
        guard=Guard(**guard),
    )
    config = config.model_copy(update={"edge": config.edge.model_copy(update={"address": EDGE})})
    async with Gateway.open(config) as gateway:
        yield gateway


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with opened(tmp_path) as running:
        meet(running)
        yield running


def meet(gateway: Gateway, people: int = 30) -> None:
    """So many good callers come by one address."""
    for number in range(people):
        gateway.guarding.saw(f"person:{number}", f"person:{number}", OFFICE, f"s-{number}", time.time())


async def add(gateway: Gateway, value: str = OFFICE, by: str = JO, **how: Any) -> dict[str, Any]:
    return await GatewayOperations(gateway).add_block("address", value, 600.0, "scan", by, override=False, **how)


async def records(gateway: Gateway, *kinds: str) -> list[Any]:
    return [entry.record for entry in await gateway.ledger.since(0, kinds=kinds)]


async def test_a_second_person_decides_and_both_are_on_record(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    held = await add(gateway)
    assert (held["outcome"], held["rule"], held["radius"]["principals"]) == ("held", "shared", 30)
    assert not gateway.blocklist.active()
    assert (await add(gateway))["block"] == held["block"]  # asked again, it waits once
    (waiting,) = operations.approvals()
    assert (waiting["id"], waiting["by"], waiting["radius_now"]["principals"]) == (held["block"], f"analyst:{JO}", 30)
    own = await operations.approve(held["block"], "kim as root", "me")
    assert (own["outcome"], own["rule"]) == ("refused", "four_eyes")
    answer = await operations.approve(held["block"], KIM, "I looked")
    assert (answer["outcome"], answer["block"]) == ("canary", held["block"])
    assert gateway.blocklist.active() == [held["block"]]
    assert operations.approvals() == []
    assert (await operations.approve(held["block"], KIM, "again"))["outcome"] == "unknown"
    asked, refused, approval, block = await records(gateway, "held", "refusal", "approval", "block")
    assert isinstance(asked, Held)
    assert isinstance(refused, Refused)
    assert isinstance(approval, Approval)
    assert isinstance(block, Blocked)
    assert (refused.rule, approval.verdict, approval.by) == ("four_eyes", "approved", f"analyst:{KIM}")
    assert {asked.block, refused.block, approval.block, block.block} == {held["block"]}
    assert b"kim" not in gateway.ledger.places.database.read_bytes()


async def test_a_second_person_may_say_no(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    held = await add(gateway)
    assert (await operations.decline(held["block"], KIM, "it is the branch"))["outcome"] == "declined"
    assert (await operations.decline(held["block"], KIM, "it is the branch"))["outcome"] == "unknown"
    assert (operations.approvals(), gateway.blocklist.active()) == ([], [])
    (approval,) = await records(gateway, "approval")
    assert (approval.verdict, approval.reason) == ("declined", "it is the branch")
    assert (await add(gateway))["block"] != held["block"]


async def test_what_has_grown_is_shown_again(gateway: Gateway) -> None:
    held = await add(gateway)
    meet(gateway, 100)
    operations = GatewayOperations(gateway)
    answer = await operations.approve(held["block"], KIM, "I looked")
    assert (answer["outcome"], answer["rule"], answer["radius"]["principals"]) == ("held", "grown", 100)
    assert not gateway.blocklist.active()
    assert (await operations.approve(held["block"], KIM, "I looked again"))["outcome"] == "canary"


async def test_nobody_approves_what_must_never_be_blocked(gateway: Gateway) -> None:
    for value, what in ((EDGE, "the edge"), (BACKEND, "service bank"), ("127.0.0.1", "127.0.0.0/8")):
        answer = await add(gateway, value)
        assert (answer["outcome"], answer["rule"]) == ("refused", "never_block")
        assert what in answer["reason"]


async def test_what_waits_waits_on_after_a_restart_and_is_forgotten_in_time(tmp_path: Path) -> None:
    async with opened(tmp_path, approval_seconds=3600) as gateway:
        meet(gateway)
        held, declined = await add(gateway), await add(gateway, by="lee as root")
        await GatewayOperations(gateway).decline(declined["block"], KIM, "no")
    async with opened(tmp_path, approval_seconds=3600) as gateway:
        operations = GatewayOperations(gateway)
        (waiting,) = operations.approvals()
        assert (waiting["id"], waiting["until"]) == (held["block"], held["until"])
        assert waiting["radius_now"]["principals"] == 30  # the guard is not blind
        assert (await operations.approve(held["block"], "jo as soc", "me"))["rule"] == "four_eyes"
        assert operations.approvals() != []
        assert gateway.guarding.waiting(held["until"] + 1) == []


async def test_a_canary_is_watched_on_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, watch_seconds=600) as gateway:
        meet(gateway, 8)
        assert (await add(gateway))["outcome"] == "canary"
    async with opened(tmp_path, watch_seconds=1) as gateway:
        operations = GatewayOperations(gateway)
        assert [block["lines"] for block in operations.blocks()] == [["edge"]]
        await until(lambda: [block["lines"] for block in operations.blocks()] == [[]], "it is on all lines")


async def test_an_approval_that_cannot_be_written_is_none(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    held = await add(gateway)

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "stage_head", full)
    operations = GatewayOperations(gateway)
    for decide in (operations.approve, operations.decline):
        with pytest.raises(LedgerUnwritable):
            await decide(held["block"], KIM, "I looked")
        assert [waiting["id"] for waiting in operations.approvals()] == [held["block"]]
    assert not gateway.blocklist.active()


async def test_a_dry_run_says_what_would_be_and_whom_it_would_hit(gateway: Gateway) -> None:
    would = await add(gateway, dry_run=True)
    assert (would["outcome"], would["would"], would["rule"]) == ("dry_run", "held", "shared")
    assert (len(would["who"]), would["who"][0], would["radius"]["sessions"]) == (30, "person:0", 30)
    meet(gateway, 150)
    assert len((await add(gateway, dry_run=True))["who"]) == 100
    fine = await add(gateway, "192.0.2.200", dry_run=True)
    assert (fine["would"], fine["who"], fine["held_by"]) == ("accepted", [], [])
    answer = await add(gateway, "192.0.2.200")
    assert (await add(gateway, "192.0.2.200", dry_run=True))["held_by"] == [answer["block"]]
    assert (await add(gateway, "127.0.0.1", dry_run=True))["would"] == "refused"
    assert [record.block for record in await records(gateway, "block", "held", "refusal")] == [answer["block"]]
    assert GatewayOperations(gateway).approvals() == []


async def test_all_blocks_of_a_cause_a_detector_or_a_time_are_lifted_at_once(gateway: Gateway) -> None:
    operations, blocking = GatewayOperations(gateway), gateway.guarding.blocking
    started = time.time()
    orders = [("flow", "v-1", f"198.51.100.{number}") for number in range(20)]
    orders += [("alert", "v-2", f"198.51.101.{number}") for number in range(10)]
    for detector, verdict, value in orders:
        cause = Cause(reason="scan", by=f"detector:{detector}", verdict=verdict, technique="T1046")
        assert (await blocking.block("address", value, 600, cause, time.time()))["outcome"] == "accepted"
    await add(gateway, "192.0.2.200")

    async def lift(dry_run: bool = False, **selection: Any) -> int:
        answer = await operations.lift_blocks(Selection(**selection), JO, "wrong model", dry_run)
        return int(answer["blocks"])

    assert await lift(True, detector="flow") == 20
    assert len(gateway.ledger.live(time.time())) == 31
    assert await lift(cause="v-2", within="198.51.101.0/29") == 8
    assert await lift(cause="v-2", until=started) == 0
    assert await lift(author=f"analyst:{KIM}") == 0
    assert await lift(author=f"analyst:{JO}") == 1
    assert await lift(since=started, cause="T1046") == 22
    assert gateway.ledger.live(time.time()) == []
    lifts = await records(gateway, "lift")
    assert {(record.by, record.reason) for record in lifts} == {(f"analyst:{JO}", "wrong model")}
    assert len(lifts) == 31


async def test_good_callers_that_cannot_be_read_are_said_and_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as gateway:
        meet(gateway)
    file = tmp_path / "callers-hour"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(file.read_bytes()[:-3])
    async with opened(tmp_path) as gateway:
        assert gateway.guarding.callers.hour.principals(time.time()) == 0
        assert gateway.guarding.callers.week.principals(time.time()) == 30
