"""From a verdict to a durable block: response policy, guard, ledger, edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from defense_lines import (
    Callers,
    EdgeLine,
    Guard,
    GuardLimits,
    Hub,
    InvalidRecord,
    Leave,
    Ledger,
    LedgerUnwritable,
    Override,
    Permit,
    Watches,
)
from detectors import Verdict
from gateway.approvals import Approvals
from gateway.blocking import Blocking
from gateway.blocklist import Blocklist
from gateway.records import Records
from gateway.response import Responder
from gateway.risk import Risks
from gateway.sessions import Sessions
from policy import Actor, Bundle, Cause, Pdp, Principal, embedded_pdp, read_bundle

NOW = 1_800_000_000.0
AGENT = Principal(id="person:alice", kind="person", issuer="i", actors=(Actor("agent:bot", "agent"),))
TAKEN_OVER = Verdict(
    id="v-1", time=NOW, detector="access", kind="actor", subject="agent:bot", score=0.99, threshold=0.9,
    evidence=("200 accounts in 4 s",), technique="AML.T0053", model="m1", since=NOW - 1,
    on_behalf_of="person:alice", address="198.51.100.7",
)  # fmt: skip
DUMPED = msgspec.structs.replace(
    TAKEN_OVER, id="v-2", detector="endpoint", kind="principal", subject="person:tina", technique="T1003", address=""
)
SCANNER = msgspec.structs.replace(
    TAKEN_OVER, id="v-3", detector="alert", kind="address", subject="203.0.113.9", technique="T1046", on_behalf_of=""
)


@dataclass
class Bench:
    """The parts, and what they did."""

    responder: Responder
    blocking: Blocking
    ledger: Ledger
    hub: Hub
    blocklist: Blocklist
    records: Records
    pdp: Pdp
    rechecked: list[str]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle((), None)


@pytest.fixture
async def bench(tmp_path: Path, bundle: Bundle) -> AsyncIterator[Bench]:
    pdp, records, rechecked = embedded_pdp(bundle), Records(), list[str]()
    blocklist = Blocklist(Sessions(), clock=lambda: NOW)
    limits = GuardLimits(never_block_addresses=("192.0.2.0/24",), never_block_principals=("person:ceo",))

    def recheck(principal: str) -> int:
        rechecked.append(principal)
        return 0

    async with await Ledger.open(tmp_path, clock=lambda: NOW) as ledger:
        hub = Hub(ledger, [EdgeLine(blocklist)], clock=lambda: NOW)
        callers = Callers.nobody()
        watches, guard = Watches(limits, callers), Guard(limits, callers)
        blocking = Blocking(guard, ledger, hub, records, Approvals(3600), watches, lambda: NOW)
        responder = Responder(pdp, blocking, ledger, Risks(pdp), records, recheck, clock=lambda: NOW)
        running = asyncio.create_task(hub.run())
        yield Bench(responder, blocking, ledger, hub, blocklist, records, pdp, rechecked)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def outcome(bench: Bench) -> dict[str, Any]:
    (record,) = bench.records.verdicts(1)
    answer: dict[str, Any] = record["response"]
    return answer


async def test_a_taken_over_agent_is_blocked_everywhere_it_was_seen(bench: Bench) -> None:
    await bench.responder.verdict(TAKEN_OVER)
    live = {(block.target.kind, block.target.value) for block in bench.ledger.live(NOW)}
    assert {("actor", "agent:bot"), ("address", "198.51.100.7")} <= live
    assert bench.blocklist.find(AGENT, "10.0.0.1") is not None
    assert bench.blocklist.find(None, "198.51.100.7") is not None
    assert {each["outcome"] for each in outcome(bench)["blocks"]} == {"accepted"}
    block = next(block for block in bench.ledger.live(NOW) if block.target.kind == "actor")
    assert (block.cause.by, block.cause.verdict, block.cause.technique) == ("detector:access", "v-1", "AML.T0053")
    story = await bench.hub.story(block.id)
    assert story is not None
    assert set(story.stages) >= {"accepted", "guarded", "durable", "edge"}


@pytest.mark.parametrize("detector", ["access", "flow", "name", "alert", "endpoint", "correlation"])
async def test_a_verdict_of_each_detector_of_ours_is_heard(bench: Bench, detector: str) -> None:
    await bench.responder.verdict(msgspec.structs.replace(SCANNER, detector=detector))
    assert [record["detector"] for record in bench.records.verdicts(9)] == [detector]


async def test_dumped_credentials_raise_the_risk_and_block_nobody(bench: Bench) -> None:
    await bench.responder.verdict(DUMPED)
    assert bench.ledger.live(NOW) == []
    assert [(risk.principal, risk.level) for risk in bench.ledger.risks(NOW)] == [("person:tina", "high")]
    assert bench.rechecked == ["person:tina"]


async def test_a_scanner_is_blocked_by_address(bench: Bench) -> None:
    await bench.responder.verdict(SCANNER)
    assert [block.target.value for block in bench.ledger.live(NOW)] == ["203.0.113.9"]


async def test_the_guard_has_the_last_word_and_says_why(bench: Bench) -> None:
    await bench.responder.verdict(msgspec.structs.replace(SCANNER, subject="192.0.2.10"))
    assert bench.ledger.live(NOW) == []
    (refusal,) = bench.records.refusals(10)
    assert (refusal["rule"], refusal["target"]) == ("never_block", "192.0.2.10")
    assert [type(entry.record).__name__ for entry in await bench.ledger.since(0, kinds=["refusal"])] == ["Refused"]


async def test_a_verdict_that_names_no_address_blocks_nobody(bench: Bench) -> None:
    await bench.responder.verdict(msgspec.structs.replace(SCANNER, subject="not an address"))
    assert bench.ledger.live(NOW) == []
    assert bench.records.refusals(1)[0]["rule"] == "target"


async def test_a_verdict_below_its_threshold_does_nothing(bench: Bench) -> None:
    await bench.responder.verdict(msgspec.structs.replace(TAKEN_OVER, score=0.5))
    assert bench.ledger.live(NOW) == []
    assert outcome(bench)["blocks"] == []


async def test_an_operator_goes_the_same_way(bench: Bench) -> None:
    cause = Cause(reason="fraud desk", by="analyst:jo")
    block = bench.blocking.block
    accepted = await block("principal", "person:mallory", 60, cause, NOW)
    assert accepted["outcome"] == "accepted"
    refused = await block("principal", "person:ceo", 60, cause, NOW, Leave(Override(by="analyst:jo", reason="sure")))
    assert (refused["outcome"], refused["rule"]) == ("refused", "never_block")
    too_long = await block("principal", "person:mallory", 10**9, cause, NOW)
    assert too_long["rule"] == "ttl"


async def test_a_ledger_that_cannot_be_written_is_no_acknowledgement(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise LedgerUnwritable("disk full")

    monkeypatch.setattr(bench.ledger, "append", full)
    await bench.responder.verdict(TAKEN_OVER)
    assert outcome(bench)["error"] == "disk full"
    assert {each["outcome"] for each in outcome(bench)["blocks"]} == {"unacknowledged"}
    assert bench.ledger.live(NOW) == []
    assert bench.blocklist.find(AGENT, "") is not None  # the edge does not wait for the disk


async def test_all_of_a_verdict_takes_effect_while_the_disk_hangs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, hangs, disk = bench.ledger.append, asyncio.Event(), asyncio.Event()

    async def slow(record: Any) -> Any:
        hangs.set()
        await disk.wait()
        return await append(record)

    monkeypatch.setattr(bench.ledger, "append", slow)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(bench.responder.verdict(TAKEN_OVER))
        tasks.create_task(bench.responder.verdict(DUMPED))
        await hangs.wait()
        await asyncio.sleep(0)
        assert bench.blocklist.find(AGENT, "10.0.0.1") is not None
        assert bench.blocklist.find(None, "198.51.100.7") is not None
        assert "person:tina" in bench.rechecked
        assert bench.ledger.live(NOW) == []
        assert bench.records.verdicts(10) == []  # not acknowledged yet
        disk.set()
    assert len(bench.ledger.live(NOW)) >= 2
    assert len(bench.records.verdicts(10)) == 2


async def test_one_record_that_cannot_be_written_does_not_stop_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = bench.ledger.append

    async def picky(record: Any) -> Any:
        if isinstance(record, Permit) and record.block.target.kind == "actor":
            raise LedgerUnwritable("disk full")
        if isinstance(record, Permit) and record.block.target.kind == "session":
            raise InvalidRecord("too large")
        return await append(record)

    monkeypatch.setattr(bench.ledger, "append", picky)
    await bench.responder.verdict(msgspec.structs.replace(TAKEN_OVER, session="s-1"))
    answers = {each.get("target", "").partition(":")[0]: each["outcome"] for each in outcome(bench)["blocks"]}
    assert answers["actor"] == "unacknowledged"
    assert answers["address"] == "accepted"
    assert "actor" not in {block.target.kind for block in bench.ledger.live(NOW)}
    assert bench.blocklist.find(AGENT, "") is not None


async def test_what_can_never_be_recorded_is_refused(bench: Bench) -> None:
    cause = Cause(reason="x" * 70_000, by="analyst:jo")
    answer = await bench.blocking.block("principal", "person:mallory", 60, cause, NOW)
    assert (answer["outcome"], answer["rule"]) == ("refused", "record")
    async with asyncio.timeout(20):
        while bench.blocklist.active():  # noqa: ASYNC110  # the supervisor tells nobody
            await asyncio.sleep(0.001)


async def test_a_detector_that_is_none_of_ours_orders_nothing(bench: Bench) -> None:
    await bench.responder.verdict(msgspec.structs.replace(SCANNER, detector="mine"))
    assert bench.ledger.live(NOW) == []
    assert bench.records.verdicts(10) == []


async def test_a_refusal_that_repeats_is_counted_on_the_first(bench: Bench) -> None:
    for number in range(5):
        await bench.responder.verdict(msgspec.structs.replace(SCANNER, id=f"v-{number}", subject="192.0.2.10"))
    await bench.responder.verdict(msgspec.structs.replace(SCANNER, subject="192.0.2.11"))
    refusals = [(refusal["target"], refusal["repeated"]) for refusal in bench.records.refusals(10)]
    assert refusals == [("192.0.2.11", 0), ("192.0.2.10", 4)]
    assert [type(entry.record).__name__ for entry in await bench.ledger.since(0, kinds=["refusal"])] == [
        "Refused",
        "Refused",
    ]
