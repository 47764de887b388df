"""Snapshots and compaction keep the proof: years of history are not walked again, and nothing of it can be changed."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from defense_lines import Finding, Ledger, LedgerAltered, LedgerUnwritable, Lift, Places, Risk, public_key, verify
from defense_lines.ledger import Blocked, Compacted, Compaction, Declared, Posture, Whom, hash_at, keeping
from defense_lines.ledger.snapshot import snapshots
from defense_lines.ledger.store import Store
from defense_lines.line import Capabilities
from policy import BlockPolicy
from tests.defense_lines.line_rig import EVERY_KIND, block, permit


class Clock:
    """Each reading is a second later."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
async def ledger(tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    async with await Ledger.open(tmp_path / "ledger", clock) as opened:
        yield opened


def long(kind: str = "address", value: str = "") -> BlockPolicy:
    return block(kind, value, ttl=80_000)  # type: ignore[arg-type]


def audit(places: Places, archive: Path | None = None) -> tuple[Finding, ...]:
    return verify(places.database, places.head, public_key(places.public_key), archive)


def tamper(places: Places, statement: str) -> None:
    """As somebody would who can write the file."""
    with closing(sqlite3.connect(places.database, isolation_level=None)) as rows:
        for trigger in ("never_altered", "never_removed"):
            rows.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        rows.execute(statement)


async def write(ledger: Ledger, clock: Clock) -> list[BlockPolicy]:
    """Twelve entries: of everything that stays, and of much that does not."""
    lived, lifted, ended = long("principal", "person:alice"), long(), block(ttl=1)
    for each in (lived, lifted, ended):
        await ledger.append(permit(each))
    for record in (
        Lift(block=lifted.id, by="analyst:jo", reason="fine"),
        Risk(principal="person:tina", level="high", expires=clock.now + 9e4, reason="", by="policy:x"),
        Risk(principal="person:tina", level="low", expires=clock.now + 8e4, reason="", by="policy:x"),
        Declared(line="nft", capabilities=Capabilities(targets=frozenset({"range"}))),
        Declared(line="nft", capabilities=Capabilities(targets=frozenset({"address"}))),
        Posture(line="nft", state="drained", by="analyst:jo", reason="works"),
    ):
        await ledger.append(record)
    newest = [long(), long(), long()]
    for each in newest:
        await ledger.append(permit(each))
    return [lived, *newest]


def stands(ledger: Ledger, now: float) -> tuple[object, ...]:
    whom = Whom("nft", EVERY_KIND)
    told = [ledger.orders(after, whom, now, 100).orders for after in range(13)]
    return (
        ledger.live(now),
        ledger.risks(now),
        ledger.posture("nft"),
        ledger.declared("nft"),
        ledger.last_order,
        [[order.id for order in orders] for orders in told],
        [ledger.digest(upto, whom, now) for upto in range(13)],
    )


Keep = Callable[[Ledger, Path, Clock], Awaitable[object]]


async def snapshot(ledger: Ledger, folder: Path, clock: Clock) -> None:
    await ledger.snapshot()


async def compact(ledger: Ledger, folder: Path, clock: Clock) -> Compaction:
    entries = await ledger.since(0)
    return await ledger.compact(entries[-3].time + 0.5, folder, "operator:jo")


@pytest.mark.parametrize("keep", [snapshot, compact])
async def test_what_stands_is_the_same_from_there_on(tmp_path: Path, clock: Clock, keep: Keep) -> None:
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        lived = await write(ledger, clock)
        await keep(ledger, tmp_path, clock)
        await ledger.append(Lift(block=lived[1].id, by="analyst:jo", reason="fine"))
        now = clock.now
        before = stands(ledger, now)
        assert ledger.live(now) == [lived[0], *lived[2:]]
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        assert stands(ledger, now) == before
        assert await ledger.erase("person:alice") == "in_use"
        assert await ledger.erase("person:tina") == "in_use"
    assert audit(ledger.places) == ()


async def test_opening_begins_at_the_snapshot_and_an_audit_at_the_beginning(tmp_path: Path, clock: Clock) -> None:
    async with await Ledger.open(tmp_path, clock) as ledger:
        await write(ledger, clock)
        await ledger.snapshot()
        await ledger.append(permit(block()))
    tamper(ledger.places, "UPDATE entries SET time = time + 1 WHERE seq = 5")  # a risk that another replaced
    async with await Ledger.open(tmp_path, clock) as again:
        assert again.head == ledger.head
    assert {finding.seq for finding in audit(ledger.places)} == {0, 5}  # and the triggers


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = replace(body, 'enumerates', 'Enumerates') WHERE seq = 1",
        "UPDATE entries SET kind = 'lift' WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 9",
        "UPDATE snapshots SET last = last + 1",
        "UPDATE snapshots SET seq = seq - 1",
        "UPDATE snapshots SET digest = hash",
        "UPDATE snapshots SET kept = zeroblob(9)",
        "UPDATE snapshots SET archive = 'x'",
        "UPDATE entries SET time = time + 1 WHERE seq = 13",
    ],
)
async def test_what_a_snapshot_keeps_and_what_follows_cannot_be_altered(
    tmp_path: Path, clock: Clock, statement: str
) -> None:
    async with await Ledger.open(tmp_path, clock) as ledger:
        await write(ledger, clock)
        await ledger.snapshot()
        await ledger.append(permit(block()))
    tamper(ledger.places, statement)
    with pytest.raises(LedgerAltered):
        await Ledger.open(tmp_path, clock)
    assert audit(ledger.places)


async def test_nothing_altered_is_signed(ledger: Ledger, clock: Clock) -> None:
    await write(ledger, clock)
    tamper(ledger.places, "UPDATE entries SET time = time + 1 WHERE seq = 3")
    with pytest.raises(LedgerAltered, match="entry 3"):
        await ledger.snapshot()
    with pytest.raises(LedgerAltered, match="entry 3"):
        await ledger.compact(clock.now, ledger.places.folder / "archive", "operator:jo")
    assert list((ledger.places.folder / "archive").iterdir()) == []


async def test_what_an_earlier_snapshot_keeps_is_looked_at_again(ledger: Ledger, clock: Clock) -> None:
    await write(ledger, clock)
    await ledger.snapshot()
    tamper(ledger.places, "UPDATE entries SET time = time + 1 WHERE seq = 1")
    await ledger.append(permit(block()))
    with pytest.raises(LedgerAltered, match="snapshot at entry 12"):
        await ledger.snapshot()


async def test_a_snapshot_is_taken_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "EVERY", 20)
    taken = asyncio.Event()
    loop, put = asyncio.get_running_loop(), Store.keep

    def keep(store: Store, snapshot: object) -> object:
        signed = put(store, snapshot)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(taken.set)
        return signed

    monkeypatch.setattr(Store, "keep", keep)
    async with await Ledger.open(tmp_path) as ledger:
        for _ in range(25):
            await ledger.append(permit(block()))
        async with asyncio.timeout(30):
            await taken.wait()
    with closing(sqlite3.connect(ledger.places.database)) as rows:
        (found,) = snapshots(rows)
    assert 20 <= found.seq <= 25
    assert len(found.seqs()) == found.seq
    async with await Ledger.open(tmp_path) as again:
        assert len(again.live(time.time())) == 25


async def test_a_compaction_is_on_record_and_moves_what_matters_no_more(ledger: Ledger, clock: Clock) -> None:
    lived = await write(ledger, clock)
    folder = ledger.places.folder / "archive"
    tenth = (await ledger.since(9, 1))[0]
    before = await ledger.compact(tenth.time, folder, "operator:jo", dry_run=True)
    assert not folder.exists()
    told = await ledger.compact(tenth.time, folder, "operator:jo")
    assert (
        told
        == before
        == Compaction(upto=9, moved=9, kept=7, archive=str(folder / "ledger-000000000001-000000000009.archive"))
    )
    entries = await ledger.since(0)
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13]
    assert isinstance(entries[-1].record, Compacted)
    assert (entries[-1].record.upto, entries[-1].record.by) == (9, "operator:jo")
    story = await ledger.story(lived[0].id)
    assert story
    assert story.block == lived[0]
    assert await ledger.compact(tenth.time, folder, "operator:jo") == Compaction(upto=0, moved=0, kept=0, archive="")
    assert audit(ledger.places) == audit(ledger.places, folder) == ()


async def test_only_a_compaction_removes_entries(ledger: Ledger, clock: Clock) -> None:
    await write(ledger, clock)
    await compact(ledger, ledger.places.folder / "archive", clock)
    with closing(sqlite3.connect(ledger.places.database)) as rows:
        for statement in ("UPDATE entries SET time = 0", "DELETE FROM entries WHERE seq = 11"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                rows.execute(statement)


@pytest.fixture
async def twice(tmp_path: Path, clock: Clock) -> Places:
    """A ledger that was compacted twice, its archives beside it."""
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        for _ in range(2):
            await write(ledger, clock)
            await compact(ledger, tmp_path / "archive", clock)
    return ledger.places


async def test_two_archives_and_the_ledger_are_one_chain(twice: Places, tmp_path: Path, clock: Clock) -> None:
    assert audit(twice) == audit(twice, tmp_path / "archive") == ()
    async with await Ledger.open(twice.folder, clock) as ledger:
        assert len(ledger.live(clock.now)) == 8
    names = sorted(path.name for path in (tmp_path / "archive").iterdir())
    assert names == ["ledger-000000000001-000000000010.archive", "ledger-000000000011-000000000023.archive"]


def archived(folder: Path, number: int) -> Path:
    return sorted(folder.iterdir())[number]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("column", ["time", "kind", "body", "hash"])
def test_an_altered_archive_is_named(twice: Places, tmp_path: Path, number: int, column: str) -> None:
    path = archived(tmp_path / "archive", number)
    seq = (3, 14)[number]
    with closing(sqlite3.connect(path, isolation_level=None)) as rows:
        value = "time + 1" if column == "time" else f"CAST({column} || 'x' AS BLOB)"
        rows.execute(f"UPDATE entries SET {column} = {value} WHERE seq = ?", (seq,))
    found = audit(twice, tmp_path / "archive")
    assert any(finding.seq == seq and path.name in finding.what for finding in found)
    assert audit(twice) == ()


@pytest.mark.parametrize("number", [0, 1])
def test_a_missing_archive_is_named(twice: Places, tmp_path: Path, number: int) -> None:
    archived(tmp_path / "archive", number).unlink()
    (finding,) = audit(twice, tmp_path / "archive")
    assert finding.seq == (1, 11)[number]


async def test_an_archive_of_another_ledger_is_found(twice: Places, tmp_path: Path, clock: Clock) -> None:
    async with await Ledger.open(tmp_path / "other", clock) as other:
        await write(other, clock)
        await compact(other, tmp_path / "others", clock)
    path = archived(tmp_path / "archive", 0)
    shutil.copy(archived(tmp_path / "others", 0), path)
    found = audit(twice, tmp_path / "archive")
    assert any(path.name in finding.what and "not signed by the ledger" in finding.what for finding in found)
    assert any(finding.seq == 10 for finding in found)


def test_exchanged_and_unreadable_archives_are_named(twice: Places, tmp_path: Path) -> None:
    first, second = archived(tmp_path / "archive", 0), archived(tmp_path / "archive", 1)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert any(first.name in finding.what for finding in audit(twice, tmp_path / "archive"))
    first.write_bytes(b"nothing of the sort" * 100)
    assert any(first.name in finding.what for finding in audit(twice, tmp_path / "archive"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = replace(body, 'enumerates', 'Enumerates') WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 1",
        "INSERT INTO entries SELECT 5, time, kind, body, hash FROM entries WHERE seq = 1",
        "UPDATE snapshots SET hash = zeroblob(32)",
        "DELETE FROM snapshots",
    ],
)
async def test_what_is_left_of_the_archived_part_cannot_be_altered(twice: Places, clock: Clock, statement: str) -> None:
    tamper(twice, statement)
    assert audit(twice)
    if not statement.startswith("INSERT"):  # what nobody folds is left to the audit
        with pytest.raises(LedgerAltered):
            await Ledger.open(twice.folder, clock)


async def test_an_older_anchor_together_with_its_archive_is_found(twice: Places, tmp_path: Path) -> None:
    """Somebody puts an old copy of the whole database back: the head outside is ahead of it."""
    older = tmp_path / "older"
    shutil.copytree(twice.folder, older)
    async with await Ledger.open(twice.folder) as ledger:
        await ledger.append(permit(block()))
    shutil.copy(Places(older).database, twice.database)
    assert any("cut off" in finding.what for finding in audit(twice, tmp_path / "archive"))


async def test_an_interrupted_compaction_is_finished_by_the_next(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise LedgerUnwritable("database or disk is full")

    archive = tmp_path / "archive"
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        lived = await write(ledger, clock)
        with monkeypatch.context() as patched:
            patched.setattr(Store, "sweep", full)
            with pytest.raises(LedgerUnwritable):
                await compact(ledger, archive, clock)
        assert await ledger.append(permit(block()))
    (finding,) = audit(ledger.places, archive)
    assert "run it again" in finding.what
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        assert ledger.live(clock.now)[:4] == lived
        await ledger.compact(0.0, archive, "operator:jo")
    assert audit(ledger.places, archive) == ()


@pytest.mark.parametrize("failing", ["keep", "commit"])
async def test_a_compaction_that_fails_late_leaves_no_archive(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object) -> None:
        raise LedgerUnwritable("database or disk is full")

    archive = ledger.places.folder / "archive"
    await write(ledger, clock)
    with monkeypatch.context() as patched:
        patched.setattr(Store, failing, full)
        with pytest.raises(LedgerUnwritable):
            await compact(ledger, archive, clock)
    assert list(archive.iterdir()) == []
    await ledger.append(permit(long()))
    assert (await compact(ledger, archive, clock)).moved
    assert audit(ledger.places, archive) == ()


def test_an_archive_that_nothing_follows_is_no_gap(twice: Places, tmp_path: Path) -> None:
    """A compaction was killed before its anchor, or a backup from before it was put back."""
    archive = tmp_path / "archive"
    for first, upto in ((1, 8), (11, 21), (12, 19)):
        shutil.copy(archived(archive, 0), archive / f"ledger-{first:012}-{upto:012}.archive")
    assert audit(twice, archive) == ()
    (archive / "ledger-000000000011-000000000023.archive").unlink()  # the one that ends with the anchor
    assert audit(twice, archive)


async def test_a_head_of_entries_that_a_backup_took_the_place_of_is_none_of_ours(
    twice: Places, tmp_path: Path, clock: Clock
) -> None:
    async with await Ledger.open(tmp_path / "other", clock) as other:
        await write(other, clock)
        await compact(other, tmp_path / "others", clock)
    ours = hash_at(twice.database, 5, tmp_path / "archive")
    shutil.copy(archived(tmp_path / "others", 0), tmp_path / "archive" / "ledger-000000000001-000000000009.archive")
    assert hash_at(twice.database, 5, tmp_path / "archive") == ours


async def test_blocks_are_acknowledged_while_it_compacts(tmp_path: Path, clock: Clock) -> None:
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        await ledger.append_all([permit(block()) for _ in range(3000)])
    clock.now += 5000
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        compacting = asyncio.create_task(ledger.compact(clock.now, tmp_path / "archive", "operator:jo"))
        waits = []
        while not compacting.done():
            began = time.monotonic()
            await ledger.append(permit(long()))
            waits.append(time.monotonic() - began)
        told = await compacting
        assert told.moved >= 3000
        assert len(waits) > 3
        assert max(waits) < 5
        assert len(ledger.live(clock.now)) == len(waits)
        assert (await ledger.since(0, 1))[0].seq > 3000
    assert audit(ledger.places, tmp_path / "archive") == ()


async def test_an_erased_name_is_erased_in_archives_too(tmp_path: Path, clock: Clock) -> None:
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        wanted = long("principal", "person:alice")
        await ledger.append(permit(wanted))
        await ledger.append(Lift(block=wanted.id, by="analyst:jo", reason="person:alice is fine"))
        await ledger.append(permit(long()))
        assert await ledger.erase("person:alice") == "erased"
        await ledger.compact(clock.now, tmp_path / "archive", "operator:jo")
    content = b"".join(path.read_bytes() for path in (tmp_path / "archive").iterdir())
    assert b"enumerates accounts" in content
    assert b"alice" not in content
    assert audit(ledger.places, tmp_path / "archive") == ()


async def test_an_order_of_a_block_that_was_archived_is_no_alarm(tmp_path: Path, clock: Clock) -> None:
    """The newest order stays known when nothing of it is left: lines' cursors are not ahead of it."""
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        await ledger.append(permit(block(ttl=1)))
        await ledger.append(Risk(principal="person:a", level="low", expires=clock.now, reason="", by="policy:x"))
        clock.now += 9000
        await ledger.append(Risk(principal="person:a", level="low", expires=clock.now, reason="", by="policy:x"))
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        await ledger.compact(clock.now, tmp_path / "archive", "operator:jo")
        assert ledger.last_order == 1
    async with await Ledger.open(tmp_path / "ledger", clock) as ledger:
        assert ledger.last_order == 1
        assert all(not isinstance(entry.record, Blocked) for entry in await ledger.since(0))
