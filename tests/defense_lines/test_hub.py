"""The hub and its supervisors: durable before told, all lines at once, nothing lost, drift repaired."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from defense_lines import (
    Capabilities,
    DefenseLine,
    EdgeLine,
    Hub,
    InvalidRecord,
    Ledger,
    LedgerUnwritable,
    LineStatus,
    Note,
    Order,
    Orders,
    Pace,
    Posture,
    Receipts,
    early,
)
from defense_lines.ledger import committer, store
from defense_lines.status import Delays
from policy import BlockPolicy
from tests.defense_lines.line_rig import EVERY_KIND, MemoryLine, MemoryPort, block, permit

QUICK = Pace(deadline=1, listing=1, shortest=0.01, longest=0.05, reconcile=0.1)
CALM = Pace(deadline=1, listing=1, shortest=0.01, longest=0.05, reconcile=60)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with await Ledger.open(tmp_path / "ledger") as opened:
        yield opened


@contextlib.asynccontextmanager
async def running(ledger: Ledger, *lines: DefenseLine, pace: Pace = CALM) -> AsyncIterator[Hub]:
    hub = Hub(ledger, lines, pace=pace)
    task = asyncio.create_task(hub.run())
    try:
        yield hub
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 the line under test tells nobody
            await asyncio.sleep(0.002)


def status_of(hub: Hub, name: str = "memory") -> LineStatus:
    return next(status for status in hub.status() if status.name == name)


async def outcomes(hub: Hub, block_id: str, line: str = "memory") -> list[str]:
    story = await hub.story(block_id)
    assert story
    return [deed.outcome for deed in story.lines[line].deeds] if line in story.lines else []


async def test_a_block_reaches_every_line_and_every_receipt_is_on_record(ledger: Ledger) -> None:
    port, lines = MemoryPort(), [MemoryLine("one"), MemoryLine("two")]
    async with running(ledger, EdgeLine(port), *lines) as hub:
        wanted = block()
        assert await hub.submit(permit(wanted)) == wanted
        assert await hub.settled(wanted.id, 20) == {"edge": "enforced", "one": "enforced", "two": "enforced"}
        assert wanted.id in port.blocks
        assert all(wanted.id in line.blocks for line in lines)
        story = await hub.story(wanted.id)
        assert story
        assert set(story.stages) == {"accepted", "guarded", "durable", "edge", "one", "two"}
        assert story.stages["guarded"] <= story.stages["edge"] <= story.stages["durable"] <= story.stages["one"]
        assert story.lines["edge"].deeds[0].detail.startswith("2 streams cut")


async def test_orders_carry_the_signed_head_that_covers_them(ledger: Ledger) -> None:
    line = MemoryLine()
    async with running(ledger, line) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        await hub.settled(wanted.id, 20)
        seq, hash_, _ = line.heads[0].split(":")
        (entry,) = await ledger.since(int(seq) - 1, limit=1)
        assert entry.hash.hex() == hash_
        story = await ledger.story(wanted.id)
        assert story
        assert int(seq) >= story.entries[0].seq


async def test_the_edge_does_not_wait_for_the_disk_and_other_lines_do(ledger: Ledger) -> None:
    port, line = MemoryPort(), MemoryLine()
    async with running(ledger, EdgeLine(port), line) as hub:
        wanted = block()
        submitting = asyncio.create_task(hub.submit(permit(wanted)))
        await asyncio.sleep(0)
        assert wanted.id in port.blocks
        assert wanted.id not in line.blocks
        assert not ledger.standing(wanted.id, time.time())
        await submitting
        assert ledger.standing(wanted.id, time.time())


async def test_a_line_that_is_away_holds_up_nobody_and_catches_up(ledger: Ledger) -> None:
    near, far = MemoryLine("near"), MemoryLine("far")
    far.mood = "away"
    async with running(ledger, near, far) as hub:
        wanted = [block() for _ in range(20)]
        await asyncio.gather(*(hub.submit(permit(each)) for each in wanted))
        await until(lambda: len(near.blocks) == 20)
        await until(lambda: status_of(hub, "far").state == "away")
        assert status_of(hub, "far").pending == 20
        assert status_of(hub, "far").last_error == "no route"
        far.mood = "well"
        hub.wake("far")
        await until(lambda: len(far.blocks) == 20)
        assert status_of(hub, "far").state == "up"
        assert status_of(hub, "far").enforced == 20


async def test_a_line_that_hangs_is_away_after_the_deadline(ledger: Ledger) -> None:
    near, far = MemoryLine("near"), MemoryLine("far")
    far.mood = "hanging"
    async with running(ledger, near, far) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        await until(lambda: wanted.id in near.blocks)
        await until(lambda: status_of(hub, "far").state == "away")
        assert await hub.settled(wanted.id, 0.05) == {"near": "enforced"}


async def test_a_line_too_slow_for_a_large_batch_gets_smaller_ones(ledger: Ledger) -> None:
    line = MemoryLine()
    line.most, line.mood = 20, "away"
    async with running(ledger, line) as hub:
        wanted = [block() for _ in range(100)]
        await asyncio.gather(*(hub.submit(permit(each)) for each in wanted))
        line.mood = "well"
        await until(lambda: len(line.blocks) == 100)


async def test_a_bug_in_a_driver_is_counted_and_the_line_comes_back(ledger: Ledger) -> None:
    line = MemoryLine()
    async with running(ledger, line) as hub:
        await until(lambda: status_of(hub).state == "up")
        line.mood = "broken"
        wanted = block()
        await hub.submit(permit(wanted))
        await until(lambda: status_of(hub).state == "failing")
        assert "a bug in the driver" in status_of(hub).last_error
        line.mood = "well"
        assert await hub.settled(wanted.id, 20) == {"memory": "enforced"}
        assert await outcomes(hub, wanted.id) == ["failed", "enforced"]


async def test_one_order_that_breaks_the_driver_does_not_hold_up_the_others(ledger: Ledger) -> None:
    line = MemoryLine()
    wanted = [block() for _ in range(40)]
    line.poison = wanted[7].id
    line.mood = "away"
    async with running(ledger, line) as hub:
        await asyncio.gather(*(hub.submit(permit(each)) for each in wanted))
        line.mood = "well"
        await until(lambda: len(line.blocks) == 39)
        assert status_of(hub).pending == 1


async def test_receipts_that_are_missing_count_as_failed_and_are_tried_again(ledger: Ledger) -> None:
    line = MemoryLine()
    line.mood = "away"
    async with running(ledger, line) as hub:
        wanted = [block() for _ in range(8)]
        await asyncio.gather(*(hub.submit(permit(each)) for each in wanted))
        line.mood = "half"
        await until(lambda: len(line.blocks) >= 4)  # the other half is not answered
        line.mood = "well"
        await until(lambda: len(line.blocks) == 8)
        last = wanted[-1].id
        assert await hub.settled(last, 5) == {"memory": "enforced"}
        assert await outcomes(hub, last) == ["failed", "enforced"]


async def test_a_refusal_is_final_and_shown(ledger: Ledger) -> None:
    line = MemoryLine()
    line.mood = "refusing"
    async with running(ledger, line, pace=QUICK) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        assert await hub.settled(wanted.id, 20) == {"memory": "refused"}
        asked = len(line.applied)
        line.calls.clear()
        await line.calls.wait()  # a reconciliation
        line.calls.clear()
        await line.calls.wait()
        assert len(line.applied) == asked
        assert status_of(hub).refused == 1


class SmallLine(MemoryLine):
    """Has room for two blocks."""

    asked = 0

    def _do(self, order: Order, second: bool) -> Note | None:
        self.asked += order.block is not None
        if order.block and order.id not in self.blocks and len(self.blocks) == 2:
            return Note(order.id, "failed", "2 rules stand")
        return super()._do(order, second)


async def test_a_full_line_is_not_asked_again_before_there_is_room(ledger: Ledger) -> None:
    line = SmallLine()
    line.capabilities = Capabilities(targets=EVERY_KIND, room=2)
    async with running(ledger, line, pace=QUICK) as hub:
        wanted = [block() for _ in range(4)]
        for each in wanted:
            await hub.submit(permit(each))
        assert await hub.settled(wanted[3].id, 20) == {"memory": "refused"}
        for _ in range(3):  # reconciliations
            line.calls.clear()
            await line.calls.wait()
        assert (line.asked, status_of(hub).refused, status_of(hub).pending) == (4, 2, 0)
        await hub.lift(wanted[0].id, "analyst:jo", "false alarm")
        await until(lambda: line.blocks.keys() == {wanted[1].id, wanted[2].id})
        assert await outcomes(hub, wanted[2].id) == ["refused", "enforced"]
        assert await outcomes(hub, wanted[3].id) == ["refused"]
        assert (line.asked, status_of(hub).drifted) == (5, 0)


async def test_a_line_without_the_kind_gets_no_order_and_the_story_says_so(ledger: Ledger) -> None:
    line = MemoryLine(targets=frozenset({"address"}))
    async with running(ledger, line) as hub:
        wanted = block("principal", "person:mallory")
        await hub.submit(permit(wanted))
        assert await hub.settled(wanted.id, 20) == {}
        assert line.applied == []
        await until(lambda: ledger.declared("memory") == line.capabilities)
        story = await hub.story(wanted.id)
        assert story
        assert story.lines["memory"].cannot == "cannot enforce a principal, only: address"


async def test_a_block_for_named_lines_reaches_no_other(ledger: Ledger) -> None:
    port, one, two = MemoryPort(), MemoryLine("one"), MemoryLine("two")
    async with running(ledger, EdgeLine(port), one, two) as hub:
        wanted = block(lines=("two",))
        await hub.submit(permit(wanted))
        assert await hub.settled(wanted.id, 20) == {"two": "enforced"}
        assert not port.blocks
        assert not one.applied


async def test_a_lift_reaches_every_line_and_is_on_record(ledger: Ledger) -> None:
    port, line = MemoryPort(), MemoryLine()
    async with running(ledger, EdgeLine(port), line) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        await hub.settled(wanted.id, 20)
        assert await hub.lift(wanted.id, "analyst:jo", "a test of ours")
        assert await hub.settled(wanted.id, 20) == {"edge": "lifted", "memory": "lifted"}
        assert not port.blocks
        assert not line.blocks
        assert not await hub.lift(wanted.id, "analyst:jo", "again")
        assert await outcomes(hub, wanted.id) == ["enforced", "lifted"]


async def test_a_lift_while_the_line_is_away_never_enforces(ledger: Ledger) -> None:
    line = MemoryLine()
    line.mood = "away"
    async with running(ledger, line) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        await hub.lift(wanted.id, "analyst:jo", "false alarm")
        line.mood = "well"
        hub.wake("memory")
        assert await hub.settled(wanted.id, 20) == {"memory": "lifted"}
        assert line.applied == []


async def test_expired_blocks_are_never_pushed(ledger: Ledger) -> None:
    line = MemoryLine()
    line.mood = "away"
    async with running(ledger, line) as hub:
        short, long = block(ttl=0.05), block()
        await hub.submit(permit(short))
        await hub.submit(permit(long))
        await asyncio.sleep(0.06)  # its time to live, not somebody's work
        line.mood = "well"
        await until(lambda: long.id in line.blocks)
        assert short.id not in line.applied
        assert status_of(hub).pending == 0


async def test_drift_is_repaired_both_ways_and_foreign_blocks_are_reported(ledger: Ledger) -> None:
    line = MemoryLine()
    async with running(ledger, line, pace=QUICK) as hub:
        kept, lifted = block(), block()
        for each in (kept, lifted):
            await hub.submit(permit(each))
            await hub.settled(each.id, 5)
        await hub.lift(lifted.id, "analyst:jo", "false alarm")
        await hub.settled(lifted.id, 5)
        line.blocks = {lifted.id: lifted}  # somebody flushed the line, and restored an old copy of it
        line.foreign = {"b-of-somebody-else"}
        await until(lambda: set(line.blocks) == {kept.id})
        await until(lambda: status_of(hub).foreign == ("b-of-somebody-else",))
        assert status_of(hub).drifted == 2
        assert "b-of-somebody-else" in line.foreign


async def test_a_line_that_lies_is_found_out(ledger: Ledger) -> None:
    line = MemoryLine()
    line.mood = "lying"
    async with running(ledger, line, pace=QUICK) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        assert await hub.settled(wanted.id, 20) == {"memory": "enforced"}
        await until(lambda: status_of(hub).drifted > 0)
        line.mood = "well"
        await until(lambda: wanted.id in line.blocks)


async def test_a_line_that_answers_nonsense_is_quarantined_until_somebody_says_otherwise(ledger: Ledger) -> None:
    line = MemoryLine()
    async with running(ledger, line) as hub:
        await until(lambda: status_of(hub).state == "up")
        line.mood = "garbage"
        wanted = block()
        await hub.submit(permit(wanted))
        await until(lambda: status_of(hub).service == "quarantined")
        line.mood = "well"
        hub.wake("memory")
        assert await hub.settled(wanted.id, 0.05) == {}
        assert not line.applied
        assert await hub.serve("memory", "in_service", "analyst:jo", "a cable was bad")
        await until(lambda: wanted.id in line.blocks)
        postures = [entry.record for entry in await ledger.since(0, kinds=["posture"])]
        assert [(each.state, each.by) for each in postures if isinstance(each, Posture)] == [
            ("quarantined", "guard:lines"),
            ("in_service", "analyst:jo"),
        ]


class SaysAnything(MemoryLine):
    """A line that does what it is told, and says something else of it."""

    said: Callable[[Receipts], Receipts]

    async def carry_out(self, orders: Orders) -> Receipts:
        return self.said(await super().carry_out(orders))


@pytest.mark.parametrize(
    "said",
    [
        {"time": float("nan")},
        {"time": -1.0},
        {"time": 1e300},
        {"ms": float("inf")},
        {"ms": -1.0},
        {"notes": (Note("", "enforced", "", float("nan")),)},
    ],
)
async def test_a_time_that_is_none_is_no_answer(ledger: Ledger, said: dict[str, object]) -> None:
    line = SaysAnything()
    line.said = lambda receipts: msgspec.structs.replace(receipts, **said)
    async with running(ledger, line, MemoryLine("good")) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        await until(lambda: status_of(hub).service == "quarantined")
        assert await outcomes(hub, wanted.id, "good") == ["enforced"]
        assert await outcomes(hub, wanted.id) == []
        assert ledger.cursor("memory") == 0


async def test_words_that_are_no_text_go_on_record_as_well_as_they_can(ledger: Ledger) -> None:
    line = SaysAnything()
    line.said = lambda receipts: msgspec.structs.replace(receipts, notes=(Note(wanted.id, "failed", "\ud800" * 600),))
    async with running(ledger, line, MemoryLine("good")) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        await until(lambda: ledger.cursor("good") == ledger.last_order)
        story = await hub.story(wanted.id)
        assert story
        assert [deed.outcome for deed in story.lines["good"].deeds] == ["enforced"]
        assert [(deed.outcome, deed.detail) for deed in story.lines["memory"].deeds] == [("failed", "?" * 500)]
        assert status_of(hub).last_error == "?" * 500


async def test_a_drained_line_is_told_nothing_even_after_a_restart_and_then_all_of_it(tmp_path: Path) -> None:
    line = MemoryLine()
    async with await Ledger.open(tmp_path) as ledger, running(ledger, line) as hub:
        await until(lambda: status_of(hub).state == "up")
        assert await hub.serve("memory", "drained", "analyst:jo", "its host is patched")
        assert not await hub.serve("nobody", "drained", "analyst:jo", "a typing error")
        first = block()
        await hub.submit(permit(first))
        assert status_of(hub).pending == 1
    async with await Ledger.open(tmp_path) as ledger, running(ledger, line) as hub:
        second = block()
        await hub.submit(permit(second))
        assert status_of(hub).service == "drained"
        assert not line.applied
        await hub.serve("memory", "in_service", "analyst:jo", "patched")
        await until(lambda: set(line.blocks) == {first.id, second.id})


async def test_a_line_without_a_clock_of_its_own_is_told_when_a_block_ends(tmp_path: Path) -> None:
    line = MemoryLine()
    line.capabilities = Capabilities(targets=EVERY_KIND, ends=False, lists=False)
    async with await Ledger.open(tmp_path) as ledger, running(ledger, line) as hub:
        kept, short, shorter = block(), block(ttl=0.6), block(ttl=0.1)
        for each in (kept, short, shorter):
            await hub.submit(permit(each))
        await until(lambda: len(line.applied) == 3)
        await until(lambda: set(line.blocks) == {kept.id, short.id})
    async with await Ledger.open(tmp_path) as ledger, running(ledger, line):
        await until(lambda: set(line.blocks) == {kept.id})


async def test_what_a_line_says_it_was_told_counts(tmp_path: Path) -> None:
    """Answers that were lost with the gateway are on record as soon as the line is back; what the line has lost, it is
    told again.
    """
    line = MemoryLine()
    async with await Ledger.open(tmp_path) as ledger, running(ledger, line) as hub:
        wanted = [block() for _ in range(6)]
        for each in wanted:
            await hub.submit(permit(each))
        await until(lambda: len(line.blocks) == 6)
        last = ledger.last_order
        again = MemoryLine()
        again.blocks, again.cursor = dict(list(line.blocks.items())[:2]), line.batches[1].upto
        hub.attach(again)
        await until(lambda: len(again.blocks) == 6)
        assert again.applied == [each.id for each in wanted[2:]]
        stranger = MemoryLine()  # another ledger told it, or ours before it was restored from an older copy
        stranger.cursor = last + 1000
        hub.attach(stranger)
        await until(lambda: len(stranger.blocks) == 6)
        stranger.missed = last + 1000
        await hub.submit(permit(block()))
        await until(lambda: "our last order is" in status_of(hub).last_error)


async def test_what_a_line_failed_to_do_as_its_answer_was_lost_is_recorded_as_failed(tmp_path: Path) -> None:
    """It was told all of it, by its own journal: what of it is so is seen before anything is on record."""
    async with await Ledger.open(tmp_path) as ledger, running(ledger) as hub:
        lifted, kept, failed = block(), block(), block()
        for each in (lifted, kept, failed):
            await hub.submit(permit(each))
        await hub.lift(lifted.id, "analyst:jo", "false alarm")
        line = MemoryLine()
        line.cursor, line.mood = ledger.last_order, "away"
        line.blocks = {each.id: each for each in (lifted, kept)}
        hub.attach(line)
        await line.calls.wait()
        assert await outcomes(hub, kept.id) == []
    async with await Ledger.open(tmp_path) as ledger, running(ledger, line, pace=QUICK) as hub:  # not after a restart
        assert await outcomes(hub, kept.id) == []
        line.mood = "well"
        hub.wake("memory")
        await until(lambda: line.blocks.keys() == {kept.id, failed.id})
        await until(lambda: status_of(hub).pending == 0)
        assert await outcomes(hub, kept.id) == ["enforced"]
        assert await outcomes(hub, failed.id) == ["failed", "enforced"]
        assert await outcomes(hub, lifted.id) == ["failed", "lifted"]
        assert set(line.applied) == {failed.id}
        assert status_of(hub).drifted == 0
        await until(lambda: ledger.cursor("memory") == ledger.last_order)


async def test_a_line_that_missed_something_is_told_from_there(ledger: Ledger) -> None:
    line = MemoryLine()
    async with running(ledger, line) as hub:
        first, second = block(), block()
        await hub.submit(permit(first))
        await until(lambda: first.id in line.blocks)
        line.blocks.clear()
        line.missed = 0
        await hub.submit(permit(second))
        await until(lambda: set(line.blocks) == {first.id, second.id})
        assert line.applied == [first.id, first.id, second.id]


async def test_a_line_may_connect_go_and_come_back(ledger: Ledger) -> None:
    async with running(ledger) as hub:
        first = block()
        await hub.submit(permit(first))
        line = MemoryLine()
        hub.attach(line)
        await until(lambda: first.id in line.blocks)
        hub.detach(line)
        assert (status_of(hub).state, status_of(hub).last_error) == ("away", "disconnected")
        second = block()
        await hub.submit(permit(second))
        again = MemoryLine()  # it has restarted, and remembers nothing
        hub.attach(again)
        hub.detach(line)  # late news of the old connection
        await until(lambda: set(again.blocks) == {first.id, second.id})
        assert status_of(hub).state == "up"


async def test_after_a_restart_everything_that_stood_stands(tmp_path: Path) -> None:
    line, port = MemoryLine(), MemoryPort()
    async with await Ledger.open(tmp_path) as ledger, running(ledger, EdgeLine(port), line) as hub:
        kept, gone = block("actor", "agent:invoice-bot"), block()
        for each in (kept, gone):
            await hub.submit(permit(each))
            await hub.settled(each.id, 5)
        line.mood = "away"
        late = block()
        await hub.submit(permit(late))
        await hub.lift(gone.id, "analyst:jo", "false alarm")
    line.mood, port = "well", MemoryPort()
    async with await Ledger.open(tmp_path) as ledger:
        hub = Hub(ledger, [EdgeLine(port), line], pace=QUICK)
        assert hub.restore() == 2
        assert set(port.blocks) == {kept.id, late.id}
        assert port.blocks[kept.id] == kept
        async with running(ledger, EdgeLine(port), line, pace=QUICK):
            await until(lambda: set(line.blocks) == {kept.id, late.id})


async def test_a_line_pushed_to_before_the_restart_is_not_pushed_to_again(tmp_path: Path) -> None:
    line = MemoryLine()
    async with await Ledger.open(tmp_path) as ledger, running(ledger, line) as hub:
        for each in (block() for _ in range(5)):
            await hub.submit(permit(each))
            await hub.settled(each.id, 5)
    assert len(line.applied) == 5
    async with await Ledger.open(tmp_path) as ledger, running(ledger, line) as hub:
        assert ledger.cursor("memory") > 0
        await until(lambda: status_of(hub).enforced == 5)
        assert len(line.applied) == 5


class UnwritableLedger:
    """A ledger whose disk is full as long as it is told so."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.full = False
        self.fault: Exception | None = None  # what the disk comes back with
        self.slow: asyncio.Event | None = None  # until when nothing returns
        self.given: list[object] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.ledger, name)

    async def append(self, record: object) -> object:
        if self.slow:
            self.given.append(record)
            await self.slow.wait()
        if self.fault:
            raise self.fault
        if self.full:
            raise LedgerUnwritable("disk full")
        return await self.ledger.append(record)  # type: ignore[arg-type]


async def test_an_unwritable_ledger_acknowledges_nothing_and_what_stands_at_the_edge_stays(ledger: Ledger) -> None:
    disk, port, line = UnwritableLedger(ledger), MemoryPort(), MemoryLine()
    async with running(disk, EdgeLine(port), line, pace=QUICK) as hub:  # type: ignore[arg-type]
        disk.full = True
        wanted = block()
        with pytest.raises(LedgerUnwritable):
            await hub.submit(permit(wanted))
        line.calls.clear()
        await line.calls.wait()  # a reconciliation has passed
        assert wanted.id in port.blocks
        assert not line.applied
        disk.full = False
        await until(lambda: wanted.id in line.blocks)
        assert ledger.standing(wanted.id, time.time()) == wanted


async def test_a_block_that_stands_at_the_edge_alone_can_be_withdrawn(ledger: Ledger) -> None:
    disk, port = UnwritableLedger(ledger), MemoryPort()
    async with running(disk, EdgeLine(port)) as hub:  # type: ignore[arg-type]
        disk.full = True
        wanted = block()
        with pytest.raises(LedgerUnwritable):
            await hub.submit(permit(wanted))
        assert await hub.lift(wanted.id, "analyst:jo", "false alarm")
        await until(lambda: not port.blocks)


async def test_enforcing_waits_for_nothing_and_recording_waits_for_the_disk(ledger: Ledger) -> None:
    disk, port = UnwritableLedger(ledger), MemoryPort()
    async with running(disk, EdgeLine(port)) as hub:  # type: ignore[arg-type]
        disk.slow = asyncio.Event()
        wanted = [permit(block()) for _ in range(3)]
        for each in wanted:
            hub.enforce(each)
        assert set(port.blocks) == {each.block.id for each in wanted}
        recording = asyncio.gather(*(hub.record(each) for each in wanted))
        await asyncio.sleep(0)
        assert not recording.done()
        disk.slow.set()
        assert [each.id for each in await recording] == [each.block.id for each in wanted]
        assert len(ledger.live(time.time())) == 3


async def test_a_block_lifted_on_its_way_to_the_disk_does_not_stand(ledger: Ledger) -> None:
    port, line = MemoryPort(), MemoryLine()
    async with running(ledger, EdgeLine(port), line, pace=QUICK) as hub:
        wanted = permit(block())
        hub.enforce(wanted)
        recording = asyncio.create_task(hub.record(wanted))
        await asyncio.sleep(0)  # it is on its way
        assert await hub.lift(wanted.block.id, "analyst:jo", "false alarm")
        await recording
        await until(lambda: not port.blocks)
        line.calls.clear()
        await line.calls.wait()  # a reconciliation has passed
        await until(lambda: not line.blocks)
        assert not ledger.live(time.time())


async def test_a_block_withdrawn_while_the_disk_fails_is_not_tried_again(ledger: Ledger) -> None:
    disk, port = UnwritableLedger(ledger), MemoryPort()
    async with running(disk, EdgeLine(port), pace=QUICK) as hub:  # type: ignore[arg-type]
        disk.full, disk.slow = True, asyncio.Event()
        kept, withdrawn = permit(block()), permit(block())
        submitting = [asyncio.create_task(hub.submit(each)) for each in (withdrawn, kept)]
        await asyncio.sleep(0)
        lifting = asyncio.create_task(hub.lift(withdrawn.block.id, "analyst:jo", "false alarm"))
        await asyncio.sleep(0)
        disk.slow.set()
        ended = await asyncio.gather(lifting, *submitting, return_exceptions=True)
        assert all(isinstance(each, LedgerUnwritable) for each in ended)
        disk.full = False
        await until(lambda: ledger.standing(kept.block.id, time.time()) is not None)
        assert set(port.blocks) == {kept.block.id}
        assert [block.id for block in ledger.live(time.time())] == [kept.block.id]


async def test_a_block_withdrawn_while_it_is_offered_again_stands_nowhere(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "_RETRY", 0.01)
    disk, port, line = UnwritableLedger(ledger), MemoryPort(), MemoryLine()
    async with running(disk, EdgeLine(port), line, pace=QUICK) as hub:  # type: ignore[arg-type]
        disk.full, leave = True, permit(wanted := block())
        with pytest.raises(LedgerUnwritable):
            await hub.submit(leave)
        disk.full, disk.slow = False, asyncio.Event()
        await until(lambda: leave in disk.given)  # it is offered again, and the disk has not answered
        lifting = asyncio.create_task(hub.lift(wanted.id, "analyst:jo", "false alarm"))
        await asyncio.sleep(0)
        disk.slow.set()
        assert await lifting
        await until(lambda: ledger.place(wanted.id) is not None)
        assert not ledger.live(time.time())
        await until(lambda: not (port.blocks or line.blocks))


async def test_what_the_disk_will_never_take_ends_nothing(ledger: Ledger) -> None:
    disk, port = UnwritableLedger(ledger), MemoryPort()
    async with running(disk, EdgeLine(port), pace=QUICK) as hub:  # type: ignore[arg-type]
        disk.full = True
        with pytest.raises(LedgerUnwritable):
            await hub.submit(permit(block()))
        disk.full, disk.fault = False, InvalidRecord("no text")
        await until(lambda: not port.blocks)
        disk.fault = None
        await hub.submit(permit(block()))


async def test_a_line_that_never_connected_is_shown_with_what_waits_for_it(ledger: Ledger) -> None:
    hub = Hub(ledger, [EdgeLine(MemoryPort())], pace=QUICK, expected=("memory",))
    task = asyncio.create_task(hub.run())
    await hub.submit(permit(block(ttl=0.3)))
    kept = block()
    await hub.submit(permit(kept))
    await until(lambda: status_of(hub).pending == 2)
    assert (status_of(hub).state, status_of(hub).last_error) == ("away", "has not connected yet")
    await until(lambda: status_of(hub).pending == 1)  # what has expired waits for nobody
    line = MemoryLine()
    hub.attach(line)
    await until(lambda: set(line.blocks) == {kept.id})
    assert (status_of(hub).state, status_of(hub).pending) == ("up", 0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_ledger_is_writable_again_as_soon_as_the_disk_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(ledger, EdgeLine(MemoryPort()), pace=QUICK) as hub:
        assert ledger.writable

        def full(*_: object) -> Path:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr(store, "stage_head", full)
            with pytest.raises(LedgerUnwritable):
                await hub.submit(permit(block(ttl=0.2)))
            assert not ledger.writable
        await until(lambda: ledger.writable)  # though the block has expired, and nobody writes anything


async def test_a_disk_that_hangs_counts_as_unwritable(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "SLOW", 0.05)
    commit, go = store.Store.commit, threading.Event()

    def hang(*arguments: object) -> object:
        go.wait(20)
        return commit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store.Store, "commit", hang)
    async with running(ledger, EdgeLine(MemoryPort())) as hub:
        submitting = asyncio.create_task(hub.submit(permit(block())))
        await until(lambda: not ledger.writable)
        go.set()
        await submitting
        assert ledger.writable


async def test_what_cannot_be_recorded_does_not_stand(ledger: Ledger) -> None:
    port = MemoryPort()
    async with running(ledger, EdgeLine(port)) as hub:
        wanted = block(lines=("edge", "x" * 70_000))
        with pytest.raises(InvalidRecord):
            await hub.submit(permit(wanted))
        await until(lambda: not port.blocks)


async def test_a_block_needs_a_permit(ledger: Ledger) -> None:
    async with running(ledger) as hub:
        with pytest.raises(TypeError):
            await hub.submit(block())  # type: ignore[arg-type]


async def test_submitting_twice_is_submitting_once_and_a_lifted_block_stays_lifted(ledger: Ledger) -> None:
    port, line = MemoryPort(), MemoryLine()
    async with running(ledger, EdgeLine(port), line) as hub:
        leave = permit(block())
        first, second = await asyncio.gather(hub.submit(leave), hub.submit(leave))
        assert first == second
        await hub.settled(first.id, 5)
        assert len(await ledger.since(0, kinds=["block"])) == 1
        await hub.lift(first.id, "analyst:jo", "false alarm")
        await hub.settled(first.id, 5)
        await hub.submit(leave)
        await until(lambda: not port.blocks)
        assert not line.blocks


async def test_a_thousand_blocks_at_once(ledger: Ledger) -> None:
    lines = [MemoryLine(f"line-{number}") for number in range(3)]
    async with running(ledger, *lines) as hub:
        wanted: list[BlockPolicy] = [block() for _ in range(1000)]
        await asyncio.gather(*(hub.submit(permit(each)) for each in wanted))
        await until(lambda: all(len(line.blocks) == 1000 for line in lines))
        assert await outcomes(hub, wanted[-1].id, "line-2") == ["enforced"]
        entries = await ledger.since(0, 10_000, ["receipts"])
        assert 0 < len(entries) < 100  # many answers in one record
        assert status_of(hub, "line-0").p99_ms is not None


async def test_metrics_show_each_line(ledger: Ledger) -> None:
    line = MemoryLine()
    async with running(ledger, line) as hub:
        wanted = block()
        await hub.submit(permit(wanted))
        await hub.settled(wanted.id, 20)
        labels = {"line": "memory"}
        read = functools.partial(REGISTRY.get_sample_value, labels=labels)
        assert read("portcullis_defense_lines_up") == 1
        assert read("portcullis_defense_lines_enforced") == 1
        assert read("portcullis_defense_lines_pending") == 0
        assert (read("portcullis_defense_lines_delay_p99_seconds") or 0) > 0
    assert read("portcullis_defense_lines_up") is None


async def test_lines_states_are_told_without_a_look_at_what_waits_for_them(ledger: Ledger) -> None:
    lines = [MemoryLine("near"), MemoryLine("far")]
    lines[1].mood = "away"
    async with running(ledger, *lines) as hub:
        await hub.submit(permit(block()))
        await until(lambda: hub.states() == {"far": "away", "near": "up"})
        assert {status.name: status.state for status in hub.status()} == hub.states()


def test_delays_are_ranked_anew_once_there_is_one_more() -> None:
    delays = Delays()
    assert delays.ms(0.5) is None
    for seconds in (0.003, 0.001, 0.002):
        delays.add(seconds)
    assert (delays.ms(0.5), delays.ms(0.99)) == (2.0, 3.0)
    for _ in range(1000):
        delays.add(0.004)
    assert (delays.ms(0.0), delays.ms(0.99)) == (4.0, 4.0)
