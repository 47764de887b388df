"""A backup is taken while blocks are written; put back it is verified, on record, and seen by the lines' cursors."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from defense_lines import Ledger, LedgerAltered, LedgerInUse, Lift, Places, public_key, verify
from defense_lines.ledger import LedgerExists, Restored, back_up, names_beside, restore
from tests.defense_lines.line_rig import block, permit


def keys_of(places: Places, folder: Path) -> Places:
    """What is kept elsewhere, in an empty folder."""
    folder.mkdir()
    for path in (places.key, places.public_key, *places.folder.glob(f"{places.names.name}*")):
        shutil.copy(path, folder)
    return Places(folder)


def intact(places: Places) -> bool:
    return verify(places.database, places.head, public_key(places.public_key)) == ()


async def test_a_backup_that_is_taken_while_blocks_are_written_goes_on(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        wanted = block("principal", "person:alice")
        await ledger.append(permit(wanted))
        async with asyncio.TaskGroup() as tasks:
            appends = [tasks.create_task(ledger.append(permit(block()))) for _ in range(300)]
            head = await asyncio.to_thread(back_up, ledger.places, tmp_path / "backup.db")
        assert len(appends) == 300
        places = keys_of(ledger.places, tmp_path / "again")
    assert await asyncio.to_thread(restore, tmp_path / "backup.db", places, time.time())
    assert intact(places)
    async with await Ledger.open(places.folder) as again:
        assert again.head.seq == head.seq + 1
        entries = await again.since(0, 1000)
        assert entries[-1].record == Restored(after=head.seq)
        assert len(again.live(time.time())) == head.seq
        assert again.standing(wanted.id, time.time()) == wanted
        await again.append(Lift(block=wanted.id, by="analyst:jo", reason="fine"))
    assert intact(places)


async def test_the_keys_of_its_names_lie_beside_a_backup(tmp_path: Path) -> None:
    backup, places = tmp_path / "backup.db", Places(tmp_path / "again")
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        wanted = [block("principal", f"person:{number}") for number in range(20)]
        await ledger.append_all([permit(each) for each in wanted])
        back_up(ledger.places, backup)
        places.folder.mkdir()
        shutil.copy(ledger.places.key, places.key)
    assert stat.S_IMODE(names_beside(backup).stat().st_mode) == 0o600
    restore(backup, places, time.time())
    async with await Ledger.open(places.folder) as again:
        assert again.live(time.time()) == wanted
    assert sorted(path.name for path in places.folder.iterdir()) == [
        f"ledger.{part}" for part in ("db", "head", "key", "lock", "names")
    ]


@pytest.mark.parametrize("copied", ["empty", "without its log", "of another ledger", "before the name"])
async def test_a_backup_is_not_restored_without_the_names_that_it_needs(tmp_path: Path, copied: str) -> None:
    places = Places(tmp_path / "again")
    async with await Ledger.open(tmp_path / "ledger") as ledger, await Ledger.open(tmp_path / "other") as other:
        places.folder.mkdir()
        back_up((other if copied == "of another ledger" else ledger).places, tmp_path / "earlier.db")
        await ledger.append(permit(block("principal", "person:alice")))
        back_up(ledger.places, tmp_path / "backup.db")
        shutil.copy(ledger.places.key, places.key)
        if copied == "empty":
            places.names.touch()
        elif copied == "without its log":
            shutil.copy(ledger.places.names, places.names)
        else:
            shutil.copy(names_beside(tmp_path / "earlier.db"), places.names)
    with pytest.raises(LedgerAltered, match="name"):
        restore(tmp_path / "backup.db", places, time.time())
    assert sorted(path.name for path in places.folder.iterdir()) == ["ledger.key", "ledger.lock", "ledger.names"]
    places.names.unlink()
    restore(tmp_path / "backup.db", places, time.time())
    async with await Ledger.open(places.folder) as again:
        assert again.live(time.time())[0].target.value == "person:alice"


@pytest.mark.parametrize("left", ["ledger.db-wal", "ledger.db-shm", "ledger.head"])
async def test_what_is_left_of_the_lost_ledger_is_not_mixed_with_the_backup(tmp_path: Path, left: str) -> None:
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append(permit(block()))
        back_up(ledger.places, tmp_path / "backup.db")
        await ledger.append(permit(block()))
        places = keys_of(ledger.places, tmp_path / "again")
        shutil.copy(ledger.places.folder / left, places.folder)
    before = (places.folder / left).read_bytes()
    with pytest.raises(LedgerExists, match=left):
        restore(tmp_path / "backup.db", places, time.time())
    assert (places.folder / left).read_bytes() == before
    (places.folder / left).unlink()
    restore(tmp_path / "backup.db", places, time.time())
    async with await Ledger.open(places.folder) as again:
        assert again.head.seq == 2


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
async def test_what_is_left_of_the_lost_names_is_not_mixed_with_those_of_the_backup(
    tmp_path: Path, ending: str
) -> None:
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append(permit(block("principal", "person:alice")))
        back_up(ledger.places, tmp_path / "backup.db")
        await ledger.append_all([permit(block("principal", f"person:{number}")) for number in range(30)])
        places = keys_of(ledger.places, tmp_path / "again")
    for path in places.folder.glob(f"{places.names.name}*"):
        path.unlink()
    left = places.folder / f"{places.names.name}{ending}"
    left.write_bytes(b"of the names that are lost")
    with pytest.raises(LedgerExists, match=left.name):
        restore(tmp_path / "backup.db", places, time.time())
    assert left.read_bytes() == b"of the names that are lost"
    left.unlink()
    restore(tmp_path / "backup.db", places, time.time())
    async with await Ledger.open(places.folder) as again:
        assert again.live(time.time())[0].target.value == "person:alice"


async def test_a_line_that_was_told_what_is_lost_is_not_trusted(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append_all([permit(block()) for _ in range(5)], {"near": 3, "far": 5})
        back_up(ledger.places, tmp_path / "backup.db")
        await ledger.append_all([permit(block()) for _ in range(4)], {"far": 9})
        assert (ledger.trusted("near", 3), ledger.trusted("far", 9), ledger.trusted("far", 10)) == (3, 9, 0)
        places = keys_of(ledger.places, tmp_path / "again")
    restore(tmp_path / "backup.db", places, time.time())
    for _ in range(2):  # also when it has been opened again
        async with await Ledger.open(places.folder) as again:
            assert (again.trusted("near", 3), again.trusted("far", 9)) == (3, 5)
    async with await Ledger.open(places.folder) as again:
        await again.append_all([permit(block()) for _ in range(10)])
        assert again.trusted("far", 9) == 5  # the numbers have caught up, what they stand for has not
        await again.advance("far", again.last_order)
        assert again.trusted("far", again.last_order) == again.last_order


async def test_nothing_is_overwritten(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append(permit(block()))
        back_up(ledger.places, tmp_path / "backup.db")
        with pytest.raises(LedgerExists):
            back_up(ledger.places, tmp_path / "backup.db")
        with pytest.raises(LedgerInUse):
            restore(tmp_path / "backup.db", ledger.places, time.time())
    with pytest.raises(LedgerExists):
        restore(tmp_path / "backup.db", ledger.places, time.time())
    assert intact(ledger.places)


@pytest.mark.parametrize("missing", ["key", "names"])
async def test_without_its_keys_a_backup_is_not_restored(tmp_path: Path, missing: str) -> None:
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append(permit(block()))
        back_up(ledger.places, tmp_path / "backup.db")
    places = keys_of(ledger.places, tmp_path / "again")
    getattr(places, missing).unlink()
    if missing == "names":
        names_beside(tmp_path / "backup.db").unlink()
    with pytest.raises(FileNotFoundError):
        restore(tmp_path / "backup.db", places, time.time())
    assert not places.database.exists()


@pytest.mark.parametrize("alteration", ["body", "head", "key", "file"])
async def test_an_altered_backup_is_not_restored(tmp_path: Path, alteration: str) -> None:
    backup = tmp_path / "backup.db"
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append_all([permit(block()) for _ in range(3)])
        back_up(ledger.places, backup)
    places = keys_of(ledger.places, tmp_path / "again")
    if alteration == "key":
        async with await Ledger.open(tmp_path / "other") as other:
            shutil.copy(other.places.key, places.key)
    elif alteration == "file":
        backup.write_bytes(backup.read_bytes()[:5000])
    else:
        with closing(sqlite3.connect(backup, isolation_level=None)) as rows:
            rows.execute("DROP TRIGGER never_removed")
            rows.execute("DELETE FROM entries WHERE seq = 2" if alteration == "body" else "DELETE FROM head")
    with pytest.raises(LedgerAltered):
        restore(backup, places, time.time())
    assert not places.database.exists()
    assert not places.head.exists()


async def test_a_compacted_ledger_is_backed_up_with_its_anchor(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path / "ledger") as ledger:
        await ledger.append_all([permit(block()) for _ in range(3)])
        await ledger.compact(time.time() + 1, tmp_path / "archive", "operator:jo")
        back_up(ledger.places, tmp_path / "backup.db")
    places = keys_of(ledger.places, tmp_path / "again")
    restore(tmp_path / "backup.db", places, time.time())
    key = public_key(places.public_key)
    assert verify(places.database, places.head, key, tmp_path / "archive") == ()
    async with await Ledger.open(places.folder) as again:
        assert len(again.live(time.time())) == 3
