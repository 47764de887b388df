"""An archive holds entries that were moved out of a ledger, as they were, with the signed head at the last of them.

A SQLite file of its own, named after its first and last entry. What it says of people it says in pseudonyms: their
names and keys stay with the ledger, so that a name that is erased there is erased here.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from defense_lines.ledger.head import Head, sync_folder
from defense_lines.ledger.snapshot import Row

_SCHEMA = """
CREATE TABLE entries (seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind BLOB NOT NULL, body BLOB NOT NULL,
    hash BLOB NOT NULL) STRICT;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL,
    signature BLOB NOT NULL) STRICT;
"""
_Archive = tuple[int, int, Path]  # its first and last entry
_NAME = re.compile(r"ledger-(\d{12})-(\d{12})\.archive")


def name_of(first: int, upto: int) -> str:
    """The archive's file name."""
    return f"ledger-{first:012}-{upto:012}.archive"


class ArchiveWriter:
    """Writes one archive: it has its name only once it is whole and durable. Raises OSError, sqlite3.Error."""

    def __init__(self, folder: Path, first: int, upto: int) -> None:
        self.path = folder / name_of(first, upto)
        self._staged = self.path.with_suffix(".part")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._staged.unlink(missing_ok=True)
        os.close(os.open(self._staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._rows = sqlite3.connect(self._staged, isolation_level=None, check_same_thread=False)
        self._rows.execute("PRAGMA synchronous = FULL")
        self._rows.executescript(_SCHEMA)
        self._rows.execute("BEGIN")

    def add(self, rows: list[Row]) -> None:
        """Entries, as they were written."""
        self._rows.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", rows)

    def finish(self, head: Head) -> None:
        """Sign the end, and give the archive its name."""
        self._rows.execute("INSERT INTO head VALUES (1, ?, ?, ?)", (head.seq, head.hash, head.signature))
        self._rows.execute("COMMIT")
        self._rows.close()
        self._staged.replace(self.path)
        sync_folder(self.path.parent)

    def discard(self) -> None:
        """Leave nothing of it."""
        self._rows.close()
        self._staged.unlink(missing_ok=True)


def archives(folder: Path) -> list[_Archive]:
    """Every archive in a folder: its first and last entry, by its name. In order. Raises OSError."""
    found = ((match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)))
    return sorted((int(match[1]), int(match[2]), path) for match, path in found)


def leading(found: list[_Archive], end: int) -> list[_Archive]:
    """Of archives those that lead from the first entry to an end, one after the other; all but one of those that begin
    alike, if none do. Others are left of compactions that were killed, or of what a backup took the place of.
    """
    ends = {end}
    for first, upto, _ in reversed(found):
        if upto in ends:
            ends.add(first - 1)
    by_use = sorted(found, key=lambda archive: (archive[0], archive[1] in ends, archive[1]))
    chosen = {archive[0]: archive for archive in by_use}  # the last of those that begin alike
    way, at = list[_Archive](), 0
    for archive in chosen.values():
        if archive[0] == at + 1:
            way.append(archive)
            at = archive[1]
    return way if at == end else list(chosen.values())


def read(path: Path) -> Iterator[Row | Head]:
    """An archive's entries, then its head if it has one. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as rows:
        rows.text_factory = bytes
        yield from rows.execute("SELECT seq, time, kind, body, hash FROM entries ORDER BY seq")
        row = rows.execute("SELECT seq, hash, signature FROM head").fetchone()
        if row:
            yield Head(*row)
