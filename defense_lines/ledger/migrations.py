"""Migrations bring a ledger's database from the version that made it to the present one, each in one transaction.

The version stands in SQLite's `user_version`. Version 1 wrote none: there, tables without a version are version 1.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

from defense_lines.ledger import index, names, snapshot
from defense_lines.ledger.faults import LedgerNewer

VERSION = 2
_FIRST = (
    """CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL, hash BLOB NOT NULL) STRICT""",
    """CREATE TRIGGER IF NOT EXISTS never_altered BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never altered'); END""",
    """CREATE TRIGGER IF NOT EXISTS never_removed BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END""",
    """CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL,
    hash BLOB NOT NULL, signature BLOB NOT NULL) STRICT""",
    "CREATE TABLE IF NOT EXISTS cursors (line TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT",
    names.SCHEMA,
)


def version_of(rows: sqlite3.Connection) -> int:
    """The version of a ledger's database; 0 for one that lacks tables. Raises sqlite3.Error."""
    (stated,) = rows.execute("PRAGMA user_version").fetchone()
    if stated:
        return int(stated)
    last = "SELECT 1 FROM sqlite_schema WHERE name = 'names'"  # that version 1 made, one by one
    return 1 if rows.execute(last).fetchone() else 0


def check_version(rows: sqlite3.Connection) -> int:
    """The same. Raises LedgerNewer for one that this version does not know, sqlite3.Error."""
    found = version_of(rows)
    if found > VERSION:
        raise LedgerNewer(f"the ledger is of version {found}; this version of Portcullis reads up to version {VERSION}")
    return found


def migrate(rows: sqlite3.Connection) -> None:
    """Bring the database to the present version. Raises LedgerNewer, sqlite3.Error: then it is as it was."""
    for number in range(check_version(rows), VERSION):
        rows.execute("BEGIN IMMEDIATE")
        try:
            _STEPS[number](rows)
            rows.execute(f"PRAGMA user_version = {number + 1}")
            rows.execute("COMMIT")
        except BaseException:
            if rows.in_transaction:
                rows.execute("ROLLBACK")
            raise


def schema(rows: sqlite3.Connection) -> dict[str, str]:
    """Each table, index and trigger by name, with the SQL that makes it. Raises sqlite3.Error."""
    found = rows.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {str(name): " ".join(str(sql).split()) for name, sql in found}  # whoever alters it can make it bytes


def present_schema() -> dict[str, str]:
    """The same of a ledger of the present version."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as rows:
        migrate(rows)
        return schema(rows)


def _entries_and_head(rows: sqlite3.Connection) -> None:
    for statement in _FIRST:
        rows.execute(statement)


def _index_and_snapshots(rows: sqlite3.Connection) -> None:
    rows.execute("DROP INDEX IF EXISTS entries_of_block")
    for statement in (*index.SCHEMA, *snapshot.SCHEMA):
        rows.execute(statement)
    index.rebuild(rows)


_STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_entries_and_head, _index_and_snapshots)
