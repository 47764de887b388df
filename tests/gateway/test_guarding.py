"""Approvals, dry runs and lifts on a whole gateway without its edge; and what a restart leaves of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from defense_lines import Approval, Blocked, Held, LedgerUnwritable, Refused
from defense_lines.ledger import store
from gateway import approvals
from gateway.app import Gateway
from gateway.config import Config, Guard, Route, Service
from gateway.lifting import Selection
from gateway.operations import GatewayOperations
from policy import Cause, Target
from tests.gateway.disk_rig import Disk
from tests.gateway.edge_rig import until
from tests.gateway.test_sessions import session

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


async def lines_of_blocks(operations: GatewayOperations) -> list[list[str]]:
    return [block["lines"] async for page in operations.blocks() for block in page]


async def records(gateway: Gateway, *kinds: str) -> list[Any]:
    return [entry.record for entry in await gateway.ledger.since(0, kinds=kinds)]


async def test_of_a_list_each_is_judged_by_itself(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    listed = [Target("address", value) for value in (f"198.18.{n >> 8}.{n & 255}" for n in range(50))]
    targets = [Target("address", OFFICE), Target("address", "127.0.0.1"), *listed]
    would = await operations.add_blocks(targets, 600.0, "list", JO, override=False, dry_run=True)
    assert [answer["would"] for answer in would] == ["held", "refused", *["accepted"] * len(listed)]
    assert not gateway.blocklist.active()
    answers = await operations.add_blocks(targets, 600.0, "list", JO, override=False)
    assert [answer["outcome"] for answer in answers] == ["held", "refused", *["accepted"] * len(listed)]
    assert [answer["target"] for answer in answers[2:]] == [f"address:{each.value}" for each in listed]
    assert {block.id for block in gateway.ledger.live(time.time())} == {answer["block"] for answer in answers[2:]}


async def test_a_second_person_decides_and_both_are_on_record(gateway: Gateway) -> None:
    operations = GatewayOperations(gateway)
    held = await add(gateway)
    assert (held["outcome"], held["rule"], held["radius"]["principals"]) == ("held", "shared", 30)
    assert not gateway.blocklist.active()
    assert (await add(gateway))["block"] == held["block"]  # asked again, it waits once
    (waiting,) = operations.approvals()
    assert (waiting["id"], waiting["by"], waiting["radius"]["principals"]) == (held["block"], f"analyst:{JO}", 30)
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


async def test_no_session_with_a_protected_part_is_blocked_however_old(tmp_path: Path) -> None:
    async with opened(tmp_path, never_block_principals=("person:alice", "agent:b")) as gateway:
        operations, rules = GatewayOperations(gateway), list[str]()
        parts = [("person:alice", ["agent:a"]), ("person:bob", ["agent:a", "agent:b"]), ("person:bob", ["agent:a"])]
        for number, (who, agents) in enumerate(parts):
            gateway.sessions.open(session(number, who, agents, "10.0.0.1", []))  # until it is judged again, soon
            answer = await operations.add_block("session", f"d-{number}", 60, "x", JO, override=False)
            rules.append(answer.get("rule", ""))
        assert rules == ["never_block", "never_block", ""]


async def test_what_waited_too_long_makes_room(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "MOST", 2)
    blocking, now = gateway.guarding.blocking, time.time()

    async def ask(name: str, later: float = 0.0) -> dict[str, Any]:
        cause = Cause(reason="scan", by=f"detector:{name}")
        return await blocking.block("address", OFFICE, 600, cause, now + later)

    assert [(await ask(name))["outcome"] for name in ("a", "b")] == ["held", "held"]
    assert (await ask("c", 3599))["rule"] == "approvals"
    assert (await ask("d", 3601))["outcome"] == "held"


async def test_what_waited_too_long_is_counted_though_nobody_looks(tmp_path: Path) -> None:
    async with opened(tmp_path, approval_seconds=1) as gateway:
        meet(gateway)
        before = metric("portcullis_gateway_approvals_total", verdict="expired")
        assert (await add(gateway))["outcome"] == "held"
        assert metric("portcullis_gateway_approvals_waiting") == 1
        await until(lambda: metric("portcullis_gateway_approvals_waiting") == 0, "it waits no more")
        assert metric("portcullis_gateway_approvals_total", verdict="expired") == before + 1


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_what_waits_waits_on_after_a_restart_and_is_forgotten_in_time(tmp_path: Path) -> None:
    async with opened(tmp_path, approval_seconds=3600) as gateway:
        meet(gateway)
        held, declined = await add(gateway), await add(gateway, by="lee as root")
        await GatewayOperations(gateway).decline(declined["block"], KIM, "no")
    async with opened(tmp_path, approval_seconds=3600) as gateway:
        operations = GatewayOperations(gateway)
        (waiting,) = operations.approvals()
        assert (waiting["id"], waiting["until"]) == (held["block"], held["until"])
        assert (await add(gateway, by=KIM, dry_run=True))["radius"]["principals"] == 30  # the guard is not blind
        assert (await operations.approve(held["block"], "jo as soc", "me"))["rule"] == "four_eyes"
        assert operations.approvals() != []
        assert gateway.guarding.waiting(held["until"] + 1) == []


async def test_what_was_approved_counts_for_nothing_against_others_after_a_restart_too(tmp_path: Path) -> None:
    """A detector's block of one caller was held, as if all that stands were one block."""

    async def blocked(gateway: Gateway) -> str:
        blocking, cause = gateway.guarding.blocking, Cause(reason="scan", by="detector:flow")
        answer = await blocking.block("address", "192.0.2.200", 600.0, cause, time.time())
        await blocking.lift(answer["block"], f"analyst:{JO}", "")
        return str(answer["outcome"])

    async with opened(tmp_path, watch_seconds=1) as gateway:
        meet(gateway)
        gateway.guarding.saw("person:x", "person:x", "192.0.2.200", "", time.time())
        held = await add(gateway)
        assert (await GatewayOperations(gateway).approve(held["block"], KIM, "I looked"))["outcome"] == "canary"
        await until(lambda: [block.lines for block in gateway.ledger.live(time.time())] == [()], "it is on all lines")
        assert await blocked(gateway) == "accepted"
    async with opened(tmp_path) as gateway:
        assert await blocked(gateway) == "accepted"


async def test_a_canary_is_watched_on_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path, watch_seconds=600) as gateway:
        meet(gateway, 8)
        assert (await add(gateway))["outcome"] == "canary"
    async with opened(tmp_path, watch_seconds=1) as gateway:
        operations = GatewayOperations(gateway)
        assert await lines_of_blocks(operations) == [["edge"]]

        async def on_all_lines() -> bool:
            return await lines_of_blocks(operations) == [[]]

        await until(on_all_lines, "it is on all lines")


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


async def test_what_could_not_be_put_on_record_is_not_said_to_wait(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to who asks again later, nor to who asks while it is being written."""
    disk = Disk(monkeypatch)
    disk.full, disk.stops_at = True, "held"
    first = asyncio.create_task(add(gateway))
    await until(disk.stopped.is_set, "it is being written")
    second = asyncio.create_task(add(gateway))
    await asyncio.sleep(0)
    assert not second.done()
    disk.goes_on.set()
    for asked in (first, second):
        with pytest.raises(LedgerUnwritable):
            await asked
    assert GatewayOperations(gateway).approvals() == []
    disk.full = False
    held = await add(gateway)
    assert [record.block for record in await records(gateway, "held")] == [held["block"]]


async def test_a_refusal_that_could_not_be_put_on_record_is_recorded_later(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.full = True
    with pytest.raises(LedgerUnwritable):
        await add(gateway, EDGE)
    disk.full = False
    for _ in range(3):
        assert (await add(gateway, EDGE))["outcome"] == "refused"
    assert len(await records(gateway, "refusal")) == 1


async def test_figures_that_could_not_be_put_on_record_are_not_shown(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await add(gateway)
    meet(gateway, 100)
    disk = Disk(monkeypatch)
    disk.full = True
    operations = GatewayOperations(gateway)
    with pytest.raises(LedgerUnwritable):
        await operations.approve(held["block"], KIM, "I looked")
    (waiting,) = operations.approvals()
    assert (waiting["held"], waiting["radius"]["principals"]) == (held["reason"], 30)


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


async def test_who_is_blocked_and_knocks_uses_up_no_detectors_rate(tmp_path: Path) -> None:
    cause = Cause(reason="scan", by="detector:flow")
    async with opened(tmp_path, blocks_per_minute=3) as gateway:
        meet(gateway)
        blocking, now = gateway.guarding.blocking, time.time()

        async def ask(value: str, later: float = 0.0) -> dict[str, Any]:
            return await blocking.block("address", value, 600, cause, now + later)

        first, held = await ask("192.0.2.200"), await ask(OFFICE)
        assert (first["outcome"], held["outcome"]) == ("accepted", "held")
        for later in range(10):
            again = await ask("192.0.2.200", later)
            assert (again["outcome"], again["block"], again["detail"]) == ("accepted", first["block"], "stands already")
            assert (await ask(OFFICE, later))["block"] == held["block"]
        assert len(await records(gateway, "block")) == 1
        renewed = await ask("192.0.2.200", 301)
        assert renewed["block"] != first["block"]
        assert (await ask("192.0.2.201"))["rule"] == "rate"  # the fourth
    async with opened(tmp_path) as gateway:
        blocking = gateway.guarding.blocking
        assert (await ask("192.0.2.200"))["block"] == renewed["block"]
        await blocking.lift(renewed["block"], f"analyst:{JO}", "")
        assert (await ask("192.0.2.200"))["block"] != renewed["block"]


async def test_a_person_gets_the_block_that_they_ask_for(gateway: Gateway) -> None:
    blocks = {(await add(gateway, "192.0.2.200"))["block"] for _ in range(3)}
    assert len(blocks) == 3


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


async def test_what_the_edge_enforces_without_a_ledger_is_lifted_with_its_cause(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations, blocking, disk = GatewayOperations(gateway), gateway.guarding.blocking, Disk(monkeypatch)
    cause = Cause(reason="scan", by="detector:flow", verdict="v-1")
    written = await blocking.block("address", "198.51.100.1", 600, cause, time.time())
    disk.full = True
    for number in range(2, 5):
        with pytest.raises(LedgerUnwritable):
            await blocking.block("address", f"198.51.100.{number}", 600, cause, time.time())
    assert len(gateway.blocklist.active()) == 4
    assert (await operations.lift_blocks(Selection(cause="v-1"), JO, "wrong model", dry_run=True))["blocks"] == 4
    with pytest.raises(LedgerUnwritable):  # of what is on record the end must be too
        await operations.lift_blocks(Selection(cause="v-1"), JO, "wrong model", dry_run=False)
    await until(lambda: gateway.blocklist.active() == [written["block"]], "the edge lets go of the others")
    disk.full = False
    assert (await operations.lift_blocks(Selection(cause="v-1"), JO, "wrong model", dry_run=False))["blocks"] == 1
    assert gateway.ledger.live(time.time()) == []


async def test_good_callers_that_cannot_be_read_are_said_and_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as gateway:
        meet(gateway)
    file = tmp_path / "callers-hour"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(file.read_bytes()[:-3])
    async with opened(tmp_path) as gateway:
        assert gateway.guarding.callers.hour.principals(time.time()) == 0
        assert gateway.guarding.callers.week.principals(time.time()) == 30


async def test_detectors_block_no_address_while_who_comes_by_it_is_not_known(tmp_path: Path) -> None:
    cause = Cause(reason="scan", by="detector:flow")
    async with opened(tmp_path) as gateway:
        meet(gateway)
    (tmp_path / "callers-week").write_bytes(b"no file of callers")
    for _ in range(2):  # a second start in the same hour knows no more
        async with opened(tmp_path) as gateway:
            blocking = gateway.guarding.blocking
            for kind, value in (("address", "192.0.2.200"), ("range", "198.51.100.0/29")):
                answer = await blocking.block(kind, value, 600.0, cause, time.time())  # type: ignore[arg-type]
                assert (answer["outcome"], answer["rule"]) == ("held", "blind")
            assert (await add(gateway, "192.0.2.200"))["outcome"] == "accepted"  # a person may know
            assert (await blocking.block("principal", "person:1", 600.0, cause, time.time()))["outcome"] == "accepted"
            later = time.time() + 3601
            assert (await blocking.block("address", "192.0.2.201", 600.0, cause, later))["outcome"] == "accepted"
