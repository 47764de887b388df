"""A backup is one file with the whole database as it stood at one signed head, taken while the ledger is written."""

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
from defense_lines.ledger.places import Places
from defense_lines.ledger.record import Restored, encode, kind_of, to_tree
from defense_lines.ledger.verify import verify


def back_up(places: Places, file: Path) -> Head:
    """Copy the database into a file that is not there yet, durably; the head that it ends with.

    The gateway may run: it goes on writing meanwhile. Raises LedgerExists, LedgerAltered, LedgerUnwritable, OSError.
    """
    if file.exists():
        raise LedgerExists(f"{file} is there already")
    staged = file.with_name(f"{file.name}.part")
    staged.unlink(missing_ok=True)
    os.close(os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    address = f"{places.database.resolve().as_uri()}?mode=ro"
    with (
        named_faults(),
        closing(sqlite3.connect(address, uri=True)) as source,
        closing(sqlite3.connect(staged)) as copy,
    ):
        source.backup(copy)  # in one step: one view of the database, which in WAL mode keeps nobody from writing
        copy.execute("PRAGMA journal_mode = DELETE")
        head = _head(copy)
    _sync(staged)
    staged.replace(file)
    sync_folder(file.parent)
    return head


def restore(file: Path, places: Places, now: float) -> Head:
    """Found the ledger anew from a backup: the ledger's own `ledger.key` and `ledger.names` must lie in its folder. It
    is verified before, and that it was restored becomes its next entry; the head that it goes on from.

    Raises LedgerExists, LedgerAltered, LedgerNewer, LedgerInUse, LedgerUnwritable, OSError, ValueError: then the folder
    is as it was.
    """
    held = lock(places)
    try:
        if places.database.exists():
            raise LedgerExists(f"{places.database} is there already: a backup takes the place of nothing")
        if not places.names.exists():
            raise FileNotFoundError(f"{places.names} is missing: put back the names' keys first")
        staged = places.database.with_suffix(".restoring")
        shutil.copyfile(file, staged)
        staged.chmod(0o600)
        try:
            with named_faults():
                return _restored(places, staged, read_key(places.key), now)
        finally:
            staged.unlink(missing_ok=True)
    finally:
        os.close(held)


def _restored(places: Places, staged: Path, key: Ed25519PrivateKey, now: float) -> Head:
    with closing(sqlite3.connect(staged, isolation_level=None)) as rows:
        publish_head(stage_head(places.head, _head(rows)), places.head)
        if findings := verify(staged, places.head, key.public_key()):
            places.head.unlink()
            raise LedgerAltered(f"the backup is altered: entry {findings[0].seq}: {findings[0].what}")
        migrate(rows)
        head = _record(rows, key, now)
    _sync(staged)
    publish_head(stage_head(places.head, head), places.head)
    staged.replace(places.database)
    sync_folder(places.folder)
    return head


def _record(rows: sqlite3.Connection, key: Ed25519PrivateKey, now: float) -> Head:
    before = _head(rows)
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
