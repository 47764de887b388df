"""A survey looks at what is written, entry by entry, before a snapshot is signed over it: what was altered is not."""

from __future__ import annotations

import sqlite3
import struct
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from defense_lines.ledger.chain import Chain
from defense_lines.ledger.faults import LedgerAltered
from defense_lines.ledger.snapshot import Digest, Row, Snapshot, kept_rows

_CHUNK = 500  # entries between two pauses
_ROWS = "SELECT seq, time, kind, body, hash FROM entries WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"


class Surveyed(NamedTuple):
    """What was found."""

    hash: bytes  # of the last entry
    digest: bytes  # over the entries to keep


def survey(
    database: Path,
    base: Snapshot | None,
    upto: int,
    kept: array[int],
    pause: Callable[[], None],
    follow: Callable[[list[Row]], None] | None = None,
) -> Surveyed:
    """Check what an earlier snapshot keeps, and the chain from there up to one entry; `kept` (ascending) are the
    entries to keep. `follow` is told every entry after the earlier snapshot; `pause` is called between chunks.

    Raises LedgerAltered, sqlite3.Error, and what the callables raise.
    """
    choice = _Choice(kept)
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as rows:
        rows.text_factory = bytes
        try:
            if base:
                _kept(rows, base, choice, pause)
            chain = Chain(base.seq, base.hash) if base else Chain()
            for chunk in _chunks(rows, chain, upto):
                _followed(chain, chunk, choice)
                if follow:
                    follow(chunk)
                pause()
        except (struct.error, TypeError) as error:
            raise LedgerAltered(f"an entry is not what an entry can be: {error}") from error
    if chain.seq != upto or choice.left():
        raise LedgerAltered(f"entries up to {upto} are missing")
    return Surveyed(chain.hash, choice.digest.digest())


class _Choice:
    """Takes the entries to keep out of all, in order."""

    def __init__(self, kept: array[int]) -> None:
        self._kept = kept
        self._next = 0
        self.digest = Digest()

    def look(self, row: Row) -> None:
        if self._next < len(self._kept) and self._kept[self._next] == row[0]:
            self._next += 1
            self.digest.add(row)

    def left(self) -> bool:
        return self._next < len(self._kept)


def _kept(rows: sqlite3.Connection, base: Snapshot, choice: _Choice, pause: Callable[[], None]) -> None:
    digest = Digest()
    for number, row in enumerate(kept_rows(rows, base.seqs())):
        digest.add(row)
        choice.look(row)
        if number % _CHUNK == 0:
            pause()
    if digest.digest() != base.digest:
        raise LedgerAltered(f"an entry was altered that the snapshot at entry {base.seq} keeps")


def _chunks(rows: sqlite3.Connection, chain: Chain, upto: int) -> Iterator[list[Row]]:
    while chunk := rows.execute(_ROWS, (chain.seq, upto, _CHUNK)).fetchall():
        yield chunk


def _followed(chain: Chain, chunk: list[Row], choice: _Choice) -> None:
    for row in chunk:
        if finding := chain.follow(row):
            raise LedgerAltered(f"entry {finding.seq}: {finding.what}")
        choice.look(row)
