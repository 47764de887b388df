"""A backup is the whole database as it stood at one signed head, taken while the ledger is written: one file, and
beside it a second one with the keys of its names.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from defense_lines.ledger.entry import link
from defense_lines.ledger.faults import LedgerAltered, LedgerExists, named_faults
from defense_lines.ledger.founding import lock
from defense_lines.ledger.head import Head, publish_head, read_key, stage_head, sync_folder
from defense_lines.ledger.migrations import migrate
from defense_lines.ledger.names import Names, has_keys
from defense_lines.ledger.places import Places
from defense_lines.ledger.recalling import recall
from defense_lines.ledger.record import Restored, encode, kind_of, to_tree
from defense_lines.ledger.verify import verify

_SQLITE = ("", "-wal", "-shm", "-journal")  # a database and what SQLite keeps beside it


def names_beside(file: Path) -> Path:
    """Where the keys of a backup's names lie."""
    return file.with_name(f"{file.name}.names")


def back_up(places: Places, file: Path) -> Head:
    """Copy the database into a file that is not there yet, and the keys of its names into a second one, durably; the
    head that it ends with.

    The gateway may run: it goes on writing meanwhile. Raises LedgerExists, LedgerAltered, LedgerUnwritable, OSError.
    """
    copies = {places.database: file, places.names: names_beside(file)}  # names last: no entry is without its key
    for original, copy in copies.items():
        if copy.exists():
            raise LedgerExists(f"{copy} is there already")
        if not original.exists():
            raise FileNotFoundError(f"{original} is missing")
    staged = {copy: copy.with_name(f"{copy.name}.part") for copy in copies.values()}
    try:
        with named_faults():
            for original, copy in copies.items():
                _copy(original, staged[copy])
            with closing(sqlite3.connect(staged[file])) as rows:
                head = _head(rows)
        for copy in reversed(copies.values()):
            staged[copy].replace(copy)
    finally:
        for part in staged.values():
            part.unlink(missing_ok=True)
    sync_folder(file.parent)
    return head


def restore(file: Path, places: Places, now: float) -> Head:
    """Found the ledger anew from a backup: the ledger's own `ledger.key` must lie in its folder, and `ledger.names`
    there or beside the backup. The backup is verified before, and that every name can be read that what lives needs;
    that it was restored becomes its next entry. The head that it goes on from.

    Raises LedgerExists, LedgerAltered, LedgerNewer, LedgerInUse, LedgerUnwritable, OSError, ValueError: then the folder
    is as it was.
    """
    held = lock(places)
    try:
        _must_be_lost(places)
        staged = Places(places.folder / "restoring")
        shutil.rmtree(staged.folder, ignore_errors=True)
        staged.folder.mkdir(mode=0o700)
        try:
            key = read_key(places.key)
            _gather(file, places, staged)
            with named_faults():
                head = _restored(staged, key, now)
            _put_in_place(staged, places)
            return head
        finally:
            shutil.rmtree(staged.folder)
    finally:
        os.close(held)


def _copy(original: Path, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    address = f"{original.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(copy)) as rows:
        source.backup(rows)  # in one step: one view of the database, which in WAL mode keeps nobody from writing
        rows.execute("PRAGMA journal_mode = DELETE")
    _sync(copy)


def _must_be_lost(places: Places) -> None:
    """SQLite would mix what is left of the lost ledger, or of its lost names, with the backup."""
    for part in (*_parts(places.database), places.head):
        if part.exists():
            raise LedgerExists(
                f"{part} is there already: a backup takes the place of nothing; move away all but the keys "
                "(ledger.key, ledger.pub, ledger.names with its -wal and -shm)"
            )
    for part in () if places.names.exists() else _parts(places.names):
        if part.exists():
            raise LedgerExists(
                f"{part} is there already, without {places.names.name}: put ledger.names back with its -wal and -shm, "
                "or move them all away"
            )


def _parts(database: Path) -> list[Path]:
    return [database.with_name(f"{database.name}{ending}") for ending in _SQLITE]


def _gather(file: Path, places: Places, staged: Places) -> None:
    names = places.names if places.names.exists() else names_beside(file)
    if not names.exists():
        raise FileNotFoundError(f"neither {places.names} nor {names} is there: put back the names' keys first")
    for original, copy in ((file, staged.database), (names, staged.names)):
        for part, place in zip(_parts(original), _parts(copy), strict=True):
            if part.exists():
                shutil.copyfile(part, place)
        copy.chmod(0o600)


def _restored(staged: Places, key: Ed25519PrivateKey, now: float) -> Head:
    with closing(sqlite3.connect(staged.database, isolation_level=None)) as rows:
        before = _head(rows)
        publish_head(stage_head(staged.head, before), staged.head)
        if findings := verify(staged.database, staged.head, key.public_key()):
            raise LedgerAltered(f"the backup is altered: entry {findings[0].seq}: {findings[0].what}")
        migrate(rows)
        if not has_keys(staged.names) and rows.execute("SELECT 1 FROM names").fetchone():
            raise LedgerAltered(
                f"{staged.names.name} has no keys at all, and there are names in the backup: without it, "
                "the one beside the backup is taken"
            )
        with closing(Names(rows, staged.names)) as names:
            recall(rows, names, before, key.public_key(), now)
        head = _record(rows, before, key, now)
    publish_head(stage_head(staged.head, head), staged.head)
    return head


def _put_in_place(staged: Places, places: Places) -> None:
    moves = {staged.head: places.head, staged.database: places.database}  # the database last: then it is a ledger
    if not places.names.exists():
        moves = {staged.names: places.names} | moves
    placed: list[Path] = []
    try:
        for source, place in moves.items():
            _sync(source)
            source.replace(place)
            placed.append(place)
    except OSError:
        for place in placed:
            place.unlink()
        raise
    sync_folder(places.folder)


def _record(rows: sqlite3.Connection, before: Head, key: Ed25519PrivateKey, now: float) -> Head:
    record, seq = Restored(after=before.seq), before.seq + 1
    kind = kind_of(record)
    body = encode(to_tree(record), kind)
    hash_ = link(before.hash, seq, now, kind.encode(), body)
    head = Head.sign(seq, hash_, key)
    rows.execute("BEGIN IMMEDIATE")
    rows.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (seq, now, kind, body.decode(), hash_))
    rows.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?)", (seq, hash_, head.signature))
    rows.execute("COMMIT")
    return head


def _head(rows: sqlite3.Connection) -> Head:
    row = rows.execute("SELECT seq, hash, signature FROM head").fetchone()
    if row is None:
        raise LedgerAltered("there is no head in the database")
    return Head(*row)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
