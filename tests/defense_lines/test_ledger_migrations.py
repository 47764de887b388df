"""A ledger that an older version wrote is brought to the present one whole or not at all; a newer one is refused."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from defense_lines import Blocked, Ledger, Lift, Places, Receipt, public_key, verify
from defense_lines.ledger import Answer, LedgerNewer, Record, index
from defense_lines.ledger.entry import GENESIS, link
from defense_lines.ledger.head import Head, new_key, publish_head, stage_head, write_key
from defense_lines.ledger.migrations import VERSION, migrate, version_of
from defense_lines.ledger.names import Names
from defense_lines.ledger.record import encode, kind_of, to_tree
from policy import BlockPolicy
from tests.defense_lines.line_rig import block

VERSION_1 = """
CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS entries_of_block ON entries (json_extract(body, '$.block'));
CREATE TRIGGER IF NOT EXISTS never_altered BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never altered'); END;
CREATE TRIGGER IF NOT EXISTS never_removed BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL,
    signature BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS cursors (line TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS names (pseudonym TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""


def write_version_1(folder: Path, records: list[Record]) -> Places:
    """As version 1 wrote it: its schema, and records without what came later."""
    places = Places(folder)
    rows = sqlite3.connect(places.database, isolation_level=None)
    rows.execute("PRAGMA journal_mode = WAL")
    rows.executescript(VERSION_1)
    names, key, hash_ = Names(rows, places.names), new_key(), GENESIS
    for seq, record in enumerate(records, 1):
        kind, tree = kind_of(record), to_tree(record)
        tree.pop("accepted", None)
        body = encode(names.conceal(tree), kind)
        hash_ = link(hash_, seq, 1e9 + seq, kind.encode(), body)
        rows.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (seq, 1e9 + seq, kind, body.decode(), hash_))
    head = Head.sign(len(records), hash_, key)
    rows.execute("INSERT INTO head VALUES (1, ?, ?, ?)", (head.seq, head.hash, head.signature))
    rows.execute("INSERT INTO cursors VALUES ('edge', 2)")
    rows.close()
    names.commit()
    names.close()
    publish_head(stage_head(places.head, head), places.head)
    write_key(key, places.key, places.public_key)
    return places


def history(wanted: BlockPolicy, lifted: BlockPolicy) -> list[Record]:
    receipt = Receipt(block=wanted.id, line="nft", outcome="enforced", time=time.time(), ms=0.1)
    return [
        Blocked(block=wanted.id, policy=wanted, guarded=0.001),
        Blocked(block=lifted.id, policy=lifted, guarded=0.001),
        Answer(block=wanted.id, receipt=receipt, after=0.004, durable=0.002),
        Lift(block=lifted.id, by="analyst:jo", reason="fine"),
    ]


def findings(places: Places) -> list[str]:
    return [str(finding) for finding in verify(places.database, places.head, public_key(places.public_key))]


async def test_a_ledger_of_version_1_goes_on(tmp_path: Path) -> None:
    wanted, lifted = block("principal", "person:alice"), block()
    places = write_version_1(tmp_path, history(wanted, lifted))
    assert findings(places) == []  # also as it is, untouched
    async with await Ledger.open(tmp_path) as ledger:
        assert ledger.live(time.time()) == [wanted]
        assert ledger.cursor("edge") == 2
        story = await ledger.story(wanted.id)
        assert story
        assert (story.stages["nft"], story.stages["durable"]) == (0.004, 0.002)
        assert await ledger.known([wanted.id, lifted.id]) == {wanted.id, lifted.id}
        await ledger.append(Lift(block=wanted.id, by="analyst:jo", reason="fine"))
        assert await ledger.erase("person:alice") == "erased"
    assert findings(places) == []
    with closing(sqlite3.connect(places.database)) as rows:
        assert version_of(rows) == VERSION


def test_a_ledger_of_version_1_that_was_altered_is_found(tmp_path: Path) -> None:
    places = write_version_1(tmp_path, history(block(), block()))
    with closing(sqlite3.connect(places.database, isolation_level=None)) as rows:
        rows.execute("DROP TRIGGER never_altered")
        rows.execute("UPDATE entries SET time = time + 1 WHERE seq = 3")
    assert any("seq=3" in finding for finding in findings(places))


async def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    async with await Ledger.open(tmp_path) as ledger:
        places = ledger.places
    with closing(sqlite3.connect(places.database)) as rows:
        rows.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(LedgerNewer, match=f"version {VERSION + 1}"):
        await Ledger.open(tmp_path)
    assert any("version" in finding for finding in findings(places))


def test_a_migration_that_fails_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = write_version_1(tmp_path, history(block(), block()))

    def fails(rows: sqlite3.Connection) -> None:
        rows.execute("DELETE FROM mentions")
        raise sqlite3.OperationalError("database or disk is full")

    with closing(sqlite3.connect(places.database, isolation_level=None)) as rows:
        before = list(rows.iterdump())
        with monkeypatch.context() as patched:
            patched.setattr(index, "rebuild", fails)
            with pytest.raises(sqlite3.OperationalError, match="full"):
                migrate(rows)
        assert list(rows.iterdump()) == before
        migrate(rows)
        assert version_of(rows) == VERSION


def test_an_index_can_be_rebuilt(tmp_path: Path) -> None:
    places = write_version_1(tmp_path, history(block("actor", "agent:bot"), block()))
    with closing(sqlite3.connect(places.database, isolation_level=None)) as rows:
        migrate(rows)
        before = list(rows.iterdump())
        rows.execute("DELETE FROM mentions")
        assert list(index.differences(rows))
        index.rebuild(rows)
        assert list(rows.iterdump()) == before
        assert list(index.differences(rows)) == []
