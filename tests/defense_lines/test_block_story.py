"""A block's story: who was told, who enforced it when, who cannot, found fast among years of other entries."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defense_lines.ledger import Answer, Answered, Answers, Batch, Declared, Ledger, Lift, Noted, Part, Story
from defense_lines.ledger.index import ancestors, rows_of
from defense_lines.line import Capabilities, Outcome, Receipt
from policy import BlockPolicy, TargetKind
from tests.defense_lines.line_rig import block, permit


class Clock:
    """Moved by hand; permits' monotonic times began at `began`."""

    def __init__(self) -> None:
        self.now = time.time()
        self.began = self.now - time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ledger(tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    async with await Ledger.open(tmp_path, clock, lambda: clock.now - clock.began) as opened:
        yield opened


def by(*names: str, at: float, received: float = 0.0) -> tuple[Answered, ...]:
    return tuple(Answered(name, at, 0.4, received or at) for name in names)


def batch(after: int, upto: int, rows: tuple[Answered, ...], head: str = "") -> Batch:
    return Batch(after=after, upto=upto, head=head or f"{upto}:aa", by=rows)


def noted(line: str, block_id: str, outcome: Outcome, at: float, detail: str = "") -> Noted:
    return Noted(line=line, block=block_id, outcome=outcome, detail=detail, time=at, ms=0.7, received=at)


def declared(line: str, *targets: TargetKind) -> Declared:
    return Declared(line=line, capabilities=Capabilities(targets=frozenset(targets)))


async def told(ledger: Ledger, wanted: BlockPolicy) -> Story:
    story = await ledger.story(wanted.id)
    assert story
    return story


def outcomes(part: Part) -> list[Outcome]:
    return [deed.outcome for deed in part.deeds]


async def test_a_story_has_every_stage_and_line(ledger: Ledger, clock: Clock) -> None:
    wanted = block()
    leave, before = permit(wanted), await ledger.append(permit(block()))
    entry = await ledger.append(leave)
    accepted = clock.began + leave.accepted
    rows = by("edge", at=accepted + 0.001, received=accepted + 0.5) + by("nft", at=5.0, received=accepted + 0.004)
    await ledger.append(Answers(batches=(batch(before.seq, entry.seq, rows),)))
    story = await told(ledger, wanted)
    assert story.block == wanted
    assert [entry.seq for entry in story.entries] == [2]
    assert story.stages["accepted"] == 0.0 < story.stages["guarded"]
    expected = {"edge": 0.001, "nft": 0.004, "durable": clock.now - accepted}
    assert {name: story.stages[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    (deed,) = story.lines["nft"].deeds
    assert (deed.outcome, deed.time, deed.ms, deed.received) == ("enforced", 5.0, 0.4, rows[1].received)
    assert deed.head == "2:aa"


async def test_a_line_that_cannot_says_why_and_only_lines_that_are_meant_appear(ledger: Ledger, clock: Clock) -> None:
    wanted = block("principal", "person:alice", lines=("nft", "edge", "new"))
    await ledger.append_all(
        [declared("nft", "range", "address"), declared("edge", "principal"), declared("x", "range")]
    )
    await ledger.append(permit(wanted))
    await ledger.append(Answers(batches=(batch(3, 4, by("nft", "edge", "x", at=clock.now)),)))
    await ledger.append(declared("new", "principal"))
    story = await told(ledger, wanted)
    assert set(story.lines) == {"nft", "edge", "new"}
    assert story.lines["nft"].cannot == "cannot enforce a principal, only: address, range"
    assert story.lines["nft"].deeds == ()
    assert outcomes(story.lines["edge"]) == ["enforced"]
    assert (story.lines["new"].cannot, story.lines["new"].deeds, story.lines["new"].enforced) == ("", (), None)


async def test_what_a_line_declared_counts_for_what_it_answered_from_then_on(ledger: Ledger, clock: Clock) -> None:
    wanted = block()
    await ledger.append_all([declared("one", "principal"), permit(wanted)])
    await ledger.append(Answers(batches=(batch(0, 2, by("one", at=clock.now)),)))
    await ledger.append(declared("one", "principal", "address"))
    assert (await told(ledger, wanted)).lines["one"].deeds == ()
    await ledger.append(Answers(batches=(batch(0, 4, by("one", at=clock.now)),)))
    assert outcomes((await told(ledger, wanted)).lines["one"]) == ["enforced"]
    clock.now = wanted.expires + 1
    await ledger.append(declared("late", "address"))
    assert set((await told(ledger, wanted)).lines) == {"one"}


async def test_a_note_stands_above_its_batch(ledger: Ledger, clock: Clock) -> None:
    wanted, other = block(), block()
    await ledger.append_all([permit(wanted), permit(other)])
    note = noted("one", wanted.id, "failed", clock.now, "no room")
    await ledger.append(Answers(batches=(batch(0, 2, by("one", "two", at=clock.now)),), notes=(note,)))
    story = await told(ledger, wanted)
    assert [(deed.outcome, deed.detail, deed.ms) for deed in story.lines["one"].deeds] == [("failed", "no room", 0.7)]
    assert story.lines["one"].enforced is None
    assert outcomes(story.lines["two"]) == ["enforced"]
    assert outcomes((await told(ledger, other)).lines["one"]) == ["enforced"]
    await ledger.append(Answers(notes=(noted("one", wanted.id, "enforced", clock.now + 9),)))
    part = (await told(ledger, wanted)).lines["one"]
    assert outcomes(part) == ["failed", "enforced"]
    assert part.enforced == pytest.approx(9, abs=1)


async def test_a_lift_is_told_like_a_block_and_both_at_once_as_the_lift_alone(ledger: Ledger, clock: Clock) -> None:
    wanted = block()
    await ledger.append(permit(wanted))
    await ledger.append(Answers(batches=(batch(0, 1, by("quick", at=clock.now)),)))
    lift = await ledger.append(Lift(block=wanted.id, by="analyst:jo", reason="fine"))
    rows = by("quick", at=clock.now + 0.25)
    slow = by("slow", at=clock.now + 2)
    await ledger.append(Answers(batches=(batch(1, lift.seq, rows), batch(0, lift.seq, slow))))
    story = await told(ledger, wanted)
    assert outcomes(story.lines["quick"]) == ["enforced", "lifted"]
    assert outcomes(story.lines["slow"]) == ["lifted"]
    assert story.lines["quick"].lifted == pytest.approx(0.25, abs=1e-4)
    assert story.lines["slow"].enforced is None
    assert [type(entry.record).__name__ for entry in story.entries] == ["Blocked", "Lift"]


async def test_a_line_that_catches_up_after_the_lift_was_not_told_of_the_block(ledger: Ledger, clock: Clock) -> None:
    """In more than one batch: the block's order was gone when the batch with its place was made."""
    wanted = block()
    await ledger.append(permit(block()))
    entry = await ledger.append(permit(wanted))
    await ledger.append(permit(block()))
    lift = await ledger.append(Lift(block=wanted.id, by="analyst:jo", reason="fine"))
    span = (entry.seq - 1, lift.seq - 1)
    told_before = batch(*span, by("quick", at=clock.now), f"{lift.seq - 1}:aa")
    told_after = batch(*span, by("late", at=clock.now), f"{lift.seq}:aa")
    both = batch(lift.seq - 1, lift.seq, by("quick", "late", at=clock.now), f"{lift.seq + 1}:aa")
    lost = Batch(after=span[0], upto=span[1], head="", by=by("lost", at=clock.now))
    await ledger.append(Answers(batches=(told_before, told_after, both, lost)))
    story = await told(ledger, wanted)
    assert {name: outcomes(part) for name, part in story.lines.items()} == {
        "quick": ["enforced", "lifted"],
        "late": ["lifted"],
    }


async def test_an_answer_that_was_lost_is_one_where_nothing_was_lifted(ledger: Ledger, clock: Clock) -> None:
    wanted = block()
    await ledger.append(permit(wanted))
    await ledger.append(Answers(batches=(Batch(after=0, upto=1, head="", by=by("lost", at=clock.now)),)))
    assert outcomes((await told(ledger, wanted)).lines["lost"]) == ["enforced"]


async def test_a_line_that_comes_after_the_end_was_told_nothing_of_it(ledger: Ledger, clock: Clock) -> None:
    wanted = block(ttl=60)
    await ledger.append(permit(wanted))
    clock.now += 61
    await ledger.append(Answers(batches=(batch(0, 1, by("late", at=clock.now)),)))
    assert (await told(ledger, wanted)).lines == {}


async def test_receipts_of_version_1_still_show(ledger: Ledger) -> None:
    wanted = block()
    await ledger.append(permit(wanted))
    receipt = Receipt(block=wanted.id, line="nft", outcome="enforced", time=7.0, ms=0.2, detail="done", head="1:aa")
    await ledger.append(Answer(block=wanted.id, receipt=receipt, after=0.004, durable=0.002))
    story = await told(ledger, wanted)
    assert (story.stages["durable"], story.stages["nft"]) == (0.002, 0.004)
    (deed,) = story.lines["nft"].deeds
    assert (deed.time, deed.received, deed.detail, deed.head) == (7.0, None, "done", "1:aa")
    assert [entry.seq for entry in story.entries] == [1, 2]


async def test_what_lines_say_of_people_is_a_pseudonym(ledger: Ledger, clock: Clock) -> None:
    wanted = block("principal", "person:alice-liddell")
    await ledger.append(permit(wanted))
    note = noted("one", wanted.id, "refused", clock.now, "person:alice-liddell is nobody here")
    await ledger.append(Answers(notes=(noted("two", wanted.id, "failed", clock.now), note)))
    (deed,) = (await told(ledger, wanted)).lines["one"].deeds
    assert deed.detail == note.detail
    stored = b"".join(path.read_bytes() for path in ledger.places.folder.glob("ledger.db*"))
    assert b"liddell" not in stored


async def test_ten_thousand_lines_answer_in_one_record(ledger: Ledger, clock: Clock) -> None:
    wanted = block()
    await ledger.append(permit(wanted))
    rows = by(*(f"agent-{number:05}" for number in range(10_000)), at=clock.now + 0.1234567)
    await ledger.append(Answers(batches=(batch(0, 1, rows),)))
    assert len((await told(ledger, wanted)).lines) == 10_000


ranges = st.tuples(st.integers(0, 5000), st.integers(0, 600)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(ranges, max_size=20), st.integers(1, 6000))
def test_every_range_with_a_place_in_it_lies_at_one_of_its_ancestors(spans: list[tuple[int, int]], place: int) -> None:
    trees = [{"batches": [{"after": after, "upto": upto, "by": []}]} for after, upto in spans]
    held = {row for number, tree in enumerate(trees) for row in rows_of(number, "receipts", tree).covers}
    forks = set(ancestors(place, 6000))
    found = {seq for fork, upto, after, seq in held if fork in forks and after < place <= upto}
    assert found == {number for number, (after, upto) in enumerate(spans) if after < place <= upto}
    assert len(forks) <= 13


async def test_a_story_is_found_among_many_ranges(ledger: Ledger, clock: Clock) -> None:
    """Its search does not read what does not speak of it."""
    wanted = block()
    await ledger.append_all([permit(block()) for _ in range(200)])
    entry = await ledger.append(permit(wanted))
    await ledger.append_all([permit(block()) for _ in range(200)])
    records = [Answers(batches=(batch(at, at + 1, by("one", at=clock.now)),)) for at in range(400)]
    await ledger.append_all([*records, Answers(batches=(batch(0, 401, by("two", at=clock.now)),))])
    found = await ledger.since(0, 10_000)
    covering = {each.seq for each in found if _covers(each.record, entry.seq)}
    assert len(covering) == 2
    story = await told(ledger, wanted)
    assert {name: outcomes(part) for name, part in story.lines.items()} == {"one": ["enforced"], "two": ["enforced"]}


def _covers(record: object, seq: int) -> bool:
    return isinstance(record, Answers) and any(each.after < seq <= each.upto for each in record.batches)


async def test_what_became_durable_when_is_on_record_once(ledger: Ledger) -> None:
    await ledger.append(permit(block()))
    await ledger.append(permit(block()))
    for _ in range(2):
        await ledger.append(Answers())
    first, second = [entry.record for entry in await ledger.since(2)]
    assert isinstance(first, Answers)
    assert [(synced.after, synced.upto) for synced in first.durable] == [(0, 1), (1, 2)]
    assert second == Answers()
    assert msgspec.structs.replace(first, durable=()) == Answers()
