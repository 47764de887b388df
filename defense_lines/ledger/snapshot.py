"""A snapshot names the entries up to one place that still matter, and is signed: from it, nobody has to walk what lies
before. An anchor is a snapshot before which all other entries were moved into archives.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS snapshots (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, last INTEGER NOT NULL,
    archive TEXT NOT NULL, digest BLOB NOT NULL, signature BLOB NOT NULL, kept BLOB NOT NULL) STRICT""",
    "DROP TRIGGER IF EXISTS never_removed",
    """CREATE TRIGGER IF NOT EXISTS never_removed BEFORE DELETE ON entries
    WHEN old.seq > (SELECT ifnull(max(seq), 0) FROM snapshots WHERE archive <> '')
    BEGIN SELECT RAISE(ABORT, 'entries are never removed but into an archive'); END""",
)
_COLUMNS = "SELECT seq, hash, last, archive, digest, signature, kept FROM snapshots"
_CONTEXT = b"portcullis ledger snapshot 2\0"
_FIRST = b"portcullis ledger snapshot\0"  # of those that do not keep what is undecided
_FRAME = struct.Struct(">QdHI")
_LOOKUPS = 500  # entries in one query
Row = tuple[int, float, bytes, bytes, bytes]  # seq, time, kind, body, hash


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What still mattered of the history up to one entry."""

    seq: int  # of that entry
    hash: bytes  # of that entry
    last: int  # seq of the newest order up to there
    archive: str  # name of the archive that the entries before were moved into; "" where they were not
    digest: bytes  # SHA-256 over the kept entries, as they were written
    kept: bytes  # their seqs, packed
    signature: bytes = b""

    def signed(self, key: Ed25519PrivateKey) -> Snapshot:
        """The same, signed."""
        return msgspec.structs.replace(self, signature=key.sign(self._message(_CONTEXT)))

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        """Whether the signature is this key's."""
        return self._signed(key, _CONTEXT) or self._signed(key, _FIRST)

    def forgets(self, key: Ed25519PublicKey) -> bool:
        """Whether it is one of the first, which this key signed without what was undecided then."""
        return self._signed(key, _FIRST)

    def seqs(self) -> array[int]:
        """The seqs of the kept entries, ascending. Raises zlib.error, ValueError."""
        deltas = array("Q", zlib.decompress(self.kept))
        if sys.byteorder == "big":
            deltas.byteswap()
        return array("Q", itertools.accumulate(deltas))

    def _signed(self, key: Ed25519PublicKey, context: bytes) -> bool:
        try:
            key.verify(self.signature, self._message(context))
        except (InvalidSignature, struct.error, TypeError, AttributeError, UnicodeError):  # fields can be altered
            return False
        return True

    def _message(self, context: bytes) -> bytes:
        kept, archive = hashlib.sha256(self.kept).digest(), self.archive.encode()
        return context + struct.pack(">QQ", self.seq, self.last) + self.hash + self.digest + kept + archive


class Digest:
    """SHA-256 over entries, taken in order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, row: Row) -> None:
        """One more entry. Raises struct.error, TypeError for what no entry can be."""
        seq, time, kind, body, hash_ = row
        self._hash.update(_FRAME.pack(seq, time, len(kind), len(body)) + kind + body + hash_)

    def digest(self) -> bytes:
        """Of those taken so far."""
        return self._hash.digest()


def ordered(seqs: Iterable[int]) -> array[int]:
    """Seqs, given in any order and each once or more, ascending. Others run meanwhile, if they are nearly in order."""
    return array("Q", (seq for seq, _ in itertools.groupby(sorted(seqs))))


def pack(seqs: array[int]) -> bytes:
    """Ascending seqs, as a snapshot has them."""
    deltas = array("Q", (after - before for before, after in itertools.pairwise(itertools.chain((0,), seqs))))
    if sys.byteorder == "big":
        deltas.byteswap()
    return zlib.compress(deltas.tobytes(), 1)


def write(rows: sqlite3.Connection, snapshot: Snapshot) -> None:
    """Put a snapshot in the place of earlier ones; an anchor in the place of all. Raises sqlite3.Error."""
    rows.execute("DELETE FROM snapshots WHERE archive = '' OR ? <> ''", (snapshot.archive,))
    values = (snapshot.seq, snapshot.hash, snapshot.last, snapshot.archive, snapshot.digest, snapshot.signature)
    rows.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, snapshot.kept))


def snapshots(rows: sqlite3.Connection) -> list[Snapshot]:
    """The anchor and the newest snapshot, as far as there are any, in order. Raises sqlite3.Error."""
    if not rows.execute("SELECT 1 FROM sqlite_schema WHERE name = 'snapshots'").fetchone():
        return []  # version 1
    return [_snapshot(row) for row in rows.execute(f"{_COLUMNS} ORDER BY seq")]


def beginnings(rows: sqlite3.Connection, key: Ed25519PublicKey) -> list[Snapshot]:
    """Of these, those that one can begin from: before an anchor there is nothing more to begin from, before any other
    that forgets something there is. Raises sqlite3.Error.
    """
    return [each for each in snapshots(rows) if each.archive or not each.forgets(key)]


def kept_rows(rows: sqlite3.Connection, seqs: Sequence[int]) -> Iterator[Row]:
    """Those of these entries that are there, in order; texts as bytes where the connection gives bytes."""
    for start in range(0, len(seqs), _LOOKUPS):
        chunk = seqs[start : start + _LOOKUPS]
        marks = ",".join("?" * len(chunk))
        query = f"SELECT seq, time, kind, body, hash FROM entries WHERE seq IN ({marks}) ORDER BY seq"  # noqa: S608 marks alone
        yield from rows.execute(query, tuple(chunk)).fetchall()


def _snapshot(row: tuple[Any, ...]) -> Snapshot:
    seq, hash_, last, archive, digest, signature, kept = row
    name = archive.decode() if isinstance(archive, bytes) else archive
    return Snapshot(seq=seq, hash=hash_, last=last, archive=name, digest=digest, signature=signature, kept=kept)
