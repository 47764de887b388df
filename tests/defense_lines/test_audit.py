"""An altered, missing or cut-off entry is found, whoever altered it and however careful he was."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defense_lines import Answer, Finding, Ledger, LedgerAltered, Lift, Places, Receipt, Risk, public_key, verify
from defense_lines.ledger import Answered, Answers, Batch
from defense_lines.ledger.entry import link
from tests.defense_lines.line_rig import block, permit

COUNT = 12


async def write(folder: Path) -> None:
    async with await Ledger.open(folder) as ledger:
        for number in range(COUNT // 4):
            wanted = block("principal", f"person:{number}")
            receipt = Receipt(block=wanted.id, line="edge", outcome="enforced", time=time.time(), ms=0.1)
            await ledger.append(permit(wanted))
            await ledger.append(Answer(block=wanted.id, receipt=receipt))
            await ledger.append(Lift(block=wanted.id, by="analyst:jo", reason="fine"))
            expires = time.time() + 60
            await ledger.append(Risk(principal="person:x", level="high", expires=expires, reason="", by="policy:x"))


@pytest.fixture(scope="module")
def written() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(write(Path(folder)))
        yield Path(folder)


@pytest.fixture
def places(written: Path, tmp_path: Path) -> Places:
    shutil.copytree(written, tmp_path / "copy")
    return Places(tmp_path / "copy")


def audit(places: Places) -> tuple[Finding, ...]:
    return verify(places.database, places.head, public_key(places.public_key))


def tamper(places: Places, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """As somebody would who can write the file: without the ledger's triggers."""
    rows = sqlite3.connect(places.database)
    for trigger in ("never_altered", "never_removed"):
        rows.execute(f"DROP TRIGGER {trigger}")
    for statement, values in statements:
        rows.execute(statement, values)
    rows.commit()
    rows.close()


def entries(places: Places) -> list[tuple[int, float, str, str, bytes]]:
    rows = sqlite3.connect(places.database)
    found = rows.execute("SELECT seq, time, kind, body, hash FROM entries ORDER BY seq").fetchall()
    rows.close()
    return found


async def refused(places: Places) -> str:
    with pytest.raises(LedgerAltered) as caught:
        await Ledger.open(places.folder)
    return str(caught.value)


def test_an_untouched_ledger_is_intact(places: Places) -> None:
    assert audit(places) == ()


def test_a_copy_is_intact_wherever_it_lies(places: Places, tmp_path: Path) -> None:
    shutil.copy(places.database, tmp_path / "odd name?#%20.db")
    assert verify(tmp_path / "odd name?#%20.db", places.head, public_key(places.public_key)) == ()


@settings(max_examples=60)
@given(st.integers(1, COUNT), st.sampled_from(["time", "kind", "body", "hash"]), st.data())
def test_any_single_byte_altered_is_found(written: Path, seq: int, column: str, data: st.DataObject) -> None:
    """Whatever byte of whatever column changes, the finding names the entry (a hash's change shows at it too)."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(written, Path(folder) / "copy")
        places = Places(Path(folder) / "copy")
        row = dict(zip(("seq", "time", "kind", "body", "hash"), entries(places)[seq - 1], strict=True))
        value: Any = row[column]
        if column == "time":
            value += data.draw(st.sampled_from([1e-6, -1.0, 86_400.0]))
        else:
            raw = bytearray(value if column == "hash" else value.encode())
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at] = data.draw(st.integers(1, 127).filter(lambda byte: byte != raw[at]))
            value = bytes(raw) if column == "hash" else raw.decode()
        rows = sqlite3.connect(places.database)
        rows.execute("DROP TRIGGER never_altered")
        rows.execute(f"UPDATE entries SET {column} = ? WHERE seq = ?", (value, seq))
        rows.commit()
        rows.close()
        assert seq in {finding.seq for finding in audit(places)}


@settings(max_examples=150)
@given(st.data())
def test_a_byte_altered_in_the_file_is_found_or_alters_nothing(written: Path, data: st.DataObject) -> None:
    """Flip any bits of any byte of the database file: it is found, or every entry still reads as it was written."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(written, Path(folder) / "copy")
        places = Places(Path(folder) / "copy")
        before = entries(places)
        raw = bytearray(places.database.read_bytes())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        places.database.write_bytes(raw)
        if not audit(places):
            assert entries(places) == before


@pytest.mark.parametrize("seq", range(1, COUNT + 1))
async def test_any_removed_entry_is_found(places: Places, seq: int) -> None:
    tamper(places, ("DELETE FROM entries WHERE seq = ?", (seq,)))
    assert seq in {finding.seq for finding in audit(places)}
    await refused(places)


@pytest.mark.parametrize("left", [0, 1, COUNT // 2, COUNT - 1])
async def test_any_cut_tail_is_found(places: Places, left: int) -> None:
    tamper(places, ("DELETE FROM entries WHERE seq > ?", (left,)))
    assert any("cut off" in finding.what and finding.seq == left + 1 for finding in audit(places))
    assert "cut off" in await refused(places)


async def test_a_tail_cut_together_with_an_older_inner_head_is_found(written: Path, places: Places) -> None:
    """Somebody kept an old copy of the database: it is consistent in itself, and behind the head outside."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(written, Path(folder) / "older")
        async with await Ledger.open(Path(folder) / "older") as ledger:
            await ledger.append(permit(block()))
        shutil.copy(Places(Path(folder) / "older").head, places.head)
    assert [finding.what for finding in audit(places)] == ["cut off: entries 13 to 13 are missing from the end"]


def rewritten(places: Places, seq: int) -> list[tuple[str, tuple[Any, ...]]]:
    """Statements that alter one entry and recompute the whole chain after it."""
    statements: list[tuple[str, tuple[Any, ...]]] = []
    previous = bytes(32)
    for number, moment, kind, body, _ in entries(places):
        tree = msgspec.json.decode(body)
        new = msgspec.json.encode({**tree, "reason": "nothing happened"} if number == seq else tree).decode()
        previous = link(previous, number, moment, kind.encode(), new.encode())
        statements.append(("UPDATE entries SET body = ?, hash = ? WHERE seq = ?", (new, previous, number)))
    return statements


async def test_a_rewritten_chain_is_found(places: Places) -> None:
    tamper(places, *rewritten(places, 3))
    assert any("rewritten" in finding.what for finding in audit(places))
    await refused(places)


async def test_a_forged_entry_at_the_end_is_found(places: Places) -> None:
    seq, moment, kind, body, hash_ = entries(places)[-1]
    forged = link(hash_, seq + 1, moment, kind.encode(), body.encode())
    tamper(places, ("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (seq + 1, moment, kind, body, forged)))
    assert any("own signed head is at 12" in finding.what for finding in audit(places))
    await refused(places)


async def test_swapped_entries_are_found(places: Places) -> None:
    tamper(
        places,
        ("UPDATE entries SET seq = 100 WHERE seq = 4", ()),
        ("UPDATE entries SET seq = 4 WHERE seq = 5", ()),
        ("UPDATE entries SET seq = 5 WHERE seq = 100", ()),
    )
    assert {4, 5} <= {finding.seq for finding in audit(places)}
    await refused(places)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, b'{"seq":12,"hash":"AAAA","signature":"AAAA"}'])
async def test_a_head_that_is_none_is_found(places: Places, content: bytes) -> None:
    places.head.write_bytes(content)
    assert audit(places)
    await refused(places)


def test_a_missing_head_is_found(places: Places) -> None:
    places.head.unlink()
    assert audit(places) == (Finding(0, "the head file is missing"),)


def test_another_ledgers_key_does_not_verify(places: Places, tmp_path: Path) -> None:
    asyncio.run(write(tmp_path / "other"))
    other = public_key(Places(tmp_path / "other").public_key)
    assert len(verify(places.database, places.head, other)) == 2


def test_a_database_that_is_none_is_found(places: Places) -> None:
    places.database.write_bytes(b"not a database" * 1000)
    assert audit(places)
    places.database.unlink()
    assert audit(places)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM mentions WHERE seq = 7",
        "DELETE FROM covers WHERE seq = 13",
        "UPDATE mentions SET what = 'b-0' WHERE seq = 7",
        "UPDATE covers SET upto = upto - 1 WHERE seq = 13",
    ],
)
async def test_an_entry_hidden_from_its_story_is_found(places: Places, statement: str) -> None:
    async with await Ledger.open(places.folder) as ledger:
        by = (Answered("edge", time.time(), 0.1, time.time()),)
        await ledger.append(Answers(batches=(Batch(after=0, upto=12, head="", by=by),)))
    assert audit(places) == ()
    rows = sqlite3.connect(places.database)
    rows.execute(statement)
    rows.commit()
    rows.close()
    hidden = {finding.seq for finding in audit(places) if "hides" in finding.what}
    assert hidden == {7 if "mentions" in statement else 13}


def test_an_index_that_has_more_than_the_history_is_found(places: Places) -> None:
    rows = sqlite3.connect(places.database)
    rows.execute("INSERT INTO mentions VALUES ('b-0000000000000001', 12)")
    rows.commit()
    rows.close()
    assert [finding.what for finding in audit(places)] == ["the index (mentions) has 1 rows that no entry accounts for"]


async def test_entries_are_never_altered_or_removed_by_accident(places: Places) -> None:
    rows = sqlite3.connect(places.database)
    for statement in ("UPDATE entries SET time = 0", "DELETE FROM entries"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            rows.execute(statement)
    rows.close()


async def test_a_ledger_in_use_verifies_while_it_is_written(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        async with asyncio.TaskGroup() as tasks:
            appends = [tasks.create_task(ledger.append(permit(block()))) for _ in range(300)]
            audits = [tasks.create_task(asyncio.to_thread(audit, ledger.places)) for _ in range(5)]
        assert len(appends) == ledger.head.seq
        assert [task.result() for task in audits] == [()] * 5
