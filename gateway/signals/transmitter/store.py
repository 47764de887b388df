"""The transmitter's file: streams, their subjects, and what waits to be delivered. Used by one thread at a time."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from gateway.signals.transmitter.stream import Stream
from gateway.signals.transmitter.subjects import canonical, is_complex, members

_SCHEMA = """
CREATE TABLE IF NOT EXISTS streams (id TEXT PRIMARY KEY, receiver TEXT NOT NULL, record BLOB NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE IF NOT EXISTS subjects (stream TEXT NOT NULL, subject TEXT NOT NULL, complex INTEGER NOT NULL,
    PRIMARY KEY (stream, subject)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, jti TEXT NOT NULL,
    event TEXT NOT NULL, claims BLOB NOT NULL, UNIQUE (stream, jti)) STRICT;
CREATE INDEX IF NOT EXISTS waiting_in_stream ON waiting (stream, seq);
CREATE TRIGGER IF NOT EXISTS one_more AFTER INSERT ON waiting
    BEGIN UPDATE streams SET waiting = waiting + 1 WHERE id = new.stream; END;
CREATE TRIGGER IF NOT EXISTS one_less AFTER DELETE ON waiting
    BEGIN UPDATE streams SET waiting = waiting - 1 WHERE id = old.stream; END;
"""
_LOCKED = 1.0  # seconds to wait for another process, which should not be there
_PUT = """
INSERT INTO streams (id, receiver, record) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record
"""
_FIRST = "SELECT jti, event, claims FROM waiting WHERE stream = ? AND event = coalesce(?, event) ORDER BY seq LIMIT ?"
_LISTED = "SELECT 1 FROM subjects WHERE stream = ? AND subject IN (SELECT value FROM json_each(?)) LIMIT 1"
# In SQL, which does not hold the interpreter's lock: a stream may have thousands of complex subjects.
_NO_DIFFERENCE = """
SELECT 1 FROM subjects AS s WHERE s.stream = ? AND s.complex AND NOT EXISTS
    (SELECT 1 FROM json_each(s.subject) AS a JOIN json_each(?) AS t ON a.key = t.key WHERE a.value <> t.value) LIMIT 1
"""
_CONTAINED = """
SELECT 1 FROM subjects AS s WHERE s.stream = ? AND s.complex AND NOT EXISTS
    (SELECT 1 FROM json_each(s.subject) AS a LEFT JOIN json_each(?) AS t ON a.key = t.key AND a.value = t.value
    WHERE t.key IS NULL) LIMIT 1
"""


class TransmitterUnwritable(Exception):
    """The disk's: full, read-only or broken, or too much waits for it. Nothing of this call is on record."""


class TransmitterUnreadable(Exception):
    """Somebody's: the file is damaged, or was written by something else."""


class Waiting(msgspec.Struct, frozen=True):
    """One event that waits in a stream, not signed yet."""

    jti: str
    event: str
    claims: bytes


class News(msgspec.Struct):
    """What a transaction came to: streams in which something changed, how events ended, and how many streams paused."""

    woken: set[str] = msgspec.field(default_factory=set)
    ended: Counter[str] = msgspec.field(default_factory=Counter)
    paused: int = 0


class Store:
    """SQLite, WAL and synchronous FULL: what was committed survives a crash. Calls stand between `begin` and `commit`
    or `rollback`; they raise sqlite3.Error.
    """

    def __init__(self, file: Path) -> None:
        """Open the file, or make it. Raises TransmitterUnreadable, TransmitterUnwritable, OSError."""
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._rows = sqlite3.connect(file, _LOCKED, check_same_thread=False, isolation_level=None)
        self.news = News()
        try:
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute("PRAGMA synchronous = FULL")
            self._rows.executescript(_SCHEMA)
            self.streams()
        except (sqlite3.Error, msgspec.DecodeError) as error:
            self._rows.close()
            unwritable = isinstance(error, sqlite3.OperationalError)
            raise (TransmitterUnwritable if unwritable else TransmitterUnreadable)(f"{file}: {error}") from error

    def begin(self) -> None:
        """Start a transaction, and the news of it."""
        self.news = News()
        self._rows.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable."""
        self._rows.execute("COMMIT")

    def rollback(self) -> None:
        """As if it had never begun."""
        self.news = News()
        if self._rows.in_transaction:
            self._rows.execute("ROLLBACK")

    def close(self) -> None:
        """Give the file back."""
        self._rows.close()

    def streams(self, receiver: str | None = None) -> list[Stream]:
        """All streams, or those of one receiver, the oldest first."""
        rows = self._rows.execute("SELECT receiver, record FROM streams ORDER BY rowid").fetchall()
        return [_stream(record) for owner, record in rows if receiver in (None, owner)]

    def stream(self, name: str, receiver: str | None = None) -> Stream | None:
        """One stream, if it is this receiver's."""
        row = self._rows.execute("SELECT receiver, record FROM streams WHERE id = ?", (name,)).fetchone()
        return _stream(row[1]) if row and receiver in (None, row[0]) else None

    def put(self, stream: Stream) -> None:
        """Let a stream stand as it is here."""
        self._rows.execute(_PUT, (stream.id, stream.receiver, msgspec.json.encode(stream)))
        self.news.woken.add(stream.id)

    def remove(self, name: str) -> None:
        """Forget a stream, its subjects, and what waits in it."""
        self.empty(name, "deleted")
        self._rows.execute("DELETE FROM subjects WHERE stream = ?", (name,))
        self._rows.execute("DELETE FROM streams WHERE id = ?", (name,))
        self.news.woken.add(name)

    def add_subject(self, stream: str, subject: dict[str, Any]) -> None:
        """List a subject, once."""
        row = (stream, canonical(subject), is_complex(subject))
        self._rows.execute("INSERT OR IGNORE INTO subjects VALUES (?, ?, ?)", row)

    def remove_subject(self, stream: str, subject: dict[str, Any]) -> None:
        """Take a subject off the list."""
        self._rows.execute("DELETE FROM subjects WHERE stream = ? AND subject = ?", (stream, canonical(subject)))

    def subjects(self, stream: str) -> int:
        """How many are listed."""
        return self._number("SELECT count(*) FROM subjects WHERE stream = ?", stream)

    def lists_relative(self, stream: str, subject: dict[str, Any]) -> bool:
        """Whether a subject that is listed may be the same as this one: equal, or a member of it; or both are complex,
        and no member differs (SSF section 8.1.3.1).
        """
        return self._lists(stream, [canonical(subject), *members(subject)]) or (
            is_complex(subject) and self._found(_NO_DIFFERENCE, stream, canonical(subject))
        )

    def lists_all_of(self, stream: str, subject: dict[str, Any]) -> bool:
        """Whether a subject that is listed covers this one: equal, or complex and all of it is in this one."""
        return self._lists(stream, [canonical(subject)]) or (
            is_complex(subject) and self._found(_CONTAINED, stream, canonical(subject))
        )

    def append(self, stream: str, entry: Waiting) -> None:
        """Let an event wait, after all that waits already."""
        row = (stream, entry.jti, entry.event, entry.claims)
        self._rows.execute("INSERT INTO waiting (stream, jti, event, claims) VALUES (?, ?, ?, ?)", row)
        self.news.woken.add(stream)

    def waiting(self, stream: str) -> int:
        """How many wait, counted as they come and go: a stream may hold a million."""
        return self._number("SELECT waiting FROM streams WHERE id = ?", stream)

    def first(self, stream: str, most: int, event: str | None = None) -> list[Waiting]:
        """The first that wait, in order; of one event type only, if one is named."""
        return [Waiting(*row) for row in self._rows.execute(_FIRST, (stream, event, most))]

    def waits(self, stream: str, jti: str) -> bool:
        """Whether an event waits."""
        return self._found("SELECT 1 FROM waiting WHERE stream = ? AND jti = ?", stream, jti)

    def settle(self, stream: str, jtis: Iterable[str], end: str) -> None:
        """These are done with, for the reason that `end` names; those that do not wait are no news."""
        query = "DELETE FROM waiting WHERE stream = ? AND jti = ?"
        self.ended(end, sum(self._rows.execute(query, (stream, jti)).rowcount for jti in jtis))

    def empty(self, stream: str, end: str, event: str | None = None) -> None:
        """Nothing waits any more; of one event type only, if one is named."""
        query = "DELETE FROM waiting WHERE stream = ? AND event = coalesce(?, event)"
        self.ended(end, self._rows.execute(query, (stream, event)).rowcount)

    def ended(self, end: str, number: int = 1) -> None:
        """Put on record, once this is committed, how events ended."""
        self.news.ended[end] += number

    def _lists(self, stream: str, subjects: list[str]) -> bool:
        return self._found(_LISTED, stream, msgspec.json.encode(subjects).decode())

    def _found(self, query: str, *values: str) -> bool:
        return self._rows.execute(query, values).fetchone() is not None

    def _number(self, query: str, stream: str) -> int:
        return int(self._rows.execute(query, (stream,)).fetchone()[0])


def _stream(record: bytes) -> Stream:
    return msgspec.json.decode(record, type=Stream)
