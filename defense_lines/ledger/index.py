"""The index finds the entries that speak of a block, a name or a line. It is derived from the history, entry by entry.

Two tables. `mentions` has the ids of blocks, the pseudonyms that something in force can be about, and lines
("line:NAME"). `covers` has the ranges of entries that lines' answers speak of, after one entry and up to another.
Each range lies at its fork: the number in it that the highest power of two divides. A place lies in a range only if the
range's fork is one of the place's ancestors in the binary tree over all places, of which there are as many as a place
has bits (the relational interval tree of Kriegel, Pötke and Seidl, VLDB 2000).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from defense_lines.ledger.names import PERSONAL

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS mentions (what TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (what, seq))
    STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS covers (fork INTEGER NOT NULL, upto INTEGER NOT NULL, after INTEGER NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (fork, upto, after, seq)) STRICT, WITHOUT ROWID""",
)
_MENTION = "INSERT OR IGNORE INTO mentions VALUES (?, ?)"
_COVER = "INSERT OR IGNORE INTO covers VALUES (?, ?, ?, ?)"
_UNREADABLE = (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError)
_SILENT = frozenset({"cut", "data", "compacted", "restored"})  # kinds that nobody looks up


class Rows(NamedTuple):
    """What the index holds of one entry."""

    mentions: frozenset[tuple[str, int]]
    covers: frozenset[tuple[int, int, int, int]]


def rows_of(seq: int, kind: str, tree: dict[str, Any]) -> Rows:
    """What the index holds of an entry, whose record is given as it is stored: with pseudonyms."""
    mentions = frozenset() if kind in _SILENT else frozenset((what, seq) for what in _mentioned(kind, tree))
    if kind != "receipts":
        return Rows(mentions, frozenset())
    return Rows(mentions, frozenset((_fork(after, upto), upto, after, seq) for after, upto in _ranges(tree)))


def line(name: str) -> str:
    """A line, as the index has it."""
    return f"line:{name}"


def write(rows: sqlite3.Connection, seq: int, kind: str, tree: dict[str, Any]) -> None:
    """Put an entry into the index, in the transaction that writes it. Raises sqlite3.Error."""
    found = rows_of(seq, kind, tree)
    if found.mentions:
        rows.executemany(_MENTION, found.mentions)
    if found.covers:
        rows.executemany(_COVER, found.covers)


def remove(rows: sqlite3.Connection, seq: int, kind: str, tree: dict[str, Any]) -> None:
    """Take an entry out of the index, in the transaction that removes it. Raises sqlite3.Error."""
    found = rows_of(seq, kind, tree)
    rows.executemany("DELETE FROM mentions WHERE what = ? AND seq = ?", found.mentions)
    rows.executemany("DELETE FROM covers WHERE fork = ? AND upto = ? AND after = ? AND seq = ?", found.covers)


def rebuild(rows: sqlite3.Connection) -> None:
    """Derive the index from the history again; an entry that cannot be read is left to those who verify the history."""
    rows.execute("DELETE FROM mentions")
    rows.execute("DELETE FROM covers")
    for seq, kind, body in rows.execute("SELECT seq, kind, body FROM entries"):
        try:
            write(rows, seq, kind, msgspec.json.decode(body))
        except _UNREADABLE:
            continue


def differences(rows: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Entries that the index hides, and what it has beyond the history; each with words. Raises sqlite3.Error."""
    mentions = covers = 0
    for seq, kind, body in rows.execute("SELECT seq, kind, body FROM entries"):
        try:
            expected = rows_of(seq, kind, msgspec.json.decode(body))
        except _UNREADABLE:
            continue
        mentions, covers = mentions + len(expected.mentions), covers + len(expected.covers)
        if not _holds(rows, expected):
            yield seq, "the index hides this entry from a story"
    for table, count in (("mentions", mentions), ("covers", covers)):
        (found,) = rows.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 a name of ours
        if found > count:
            yield 0, f"the index ({table}) has {found - count} rows that no entry accounts for"


def ancestors(seq: int, last: int) -> Iterator[int]:
    """The forks of all ranges that can hold a place, in a history that ends at `last`."""
    for level in range(max(seq, last).bit_length()):
        yield seq >> (level + 1) << (level + 1) | 1 << level


def _holds(rows: sqlite3.Connection, expected: Rows) -> bool:
    mention = "SELECT 1 FROM mentions WHERE what = ? AND seq = ?"
    cover = "SELECT 1 FROM covers WHERE fork = ? AND upto = ? AND after = ? AND seq = ?"
    return all(rows.execute(mention, row).fetchone() for row in expected.mentions) and all(
        rows.execute(cover, row).fetchone() for row in expected.covers
    )


def _fork(after: int, upto: int) -> int:
    low = max((after ^ upto).bit_length() - 1, 0)
    return upto >> low << low


def _ranges(tree: dict[str, Any]) -> Iterator[tuple[int, int]]:
    for batch in tree.get("batches", ()):
        yield batch["after"], batch["upto"]
    for after, upto, _ in tree.get("durable", ()):
        yield after, upto


def _mentioned(kind: str, tree: dict[str, Any]) -> Iterable[str]:
    if kind == "receipts":
        return (note["block"] for note in tree.get("notes", ()))
    if kind in ("line", "posture"):
        return (line(tree["line"]),)
    if kind == "risk":
        return (tree["principal"],)
    if kind == "revocation":
        return (tree["value"],) if tree["kind"] in PERSONAL else ()
    target = tree["policy"]["target"] if kind == "block" else {}
    return (tree["block"], target["value"]) if target.get("kind") in PERSONAL else (tree["block"],)
