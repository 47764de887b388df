"""Founding makes a ledger's files on first use, the key last: where there is a key, the rest must be there too."""

from __future__ import annotations

import fcntl
import os
import sqlite3

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from defense_lines.ledger.faults import LedgerAltered, LedgerInUse
from defense_lines.ledger.head import Head, new_key, publish_head, read_key, stage_head, write_key
from defense_lines.ledger.migrations import migrate
from defense_lines.ledger.places import Places


def lock(places: Places) -> int:
    """Lock the ledger; the file descriptor holds it. Raises LedgerInUse, OSError."""
    places.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise LedgerInUse(f"{places.database} is open elsewhere") from error
    return file


def found(places: Places) -> tuple[sqlite3.Connection, Ed25519PrivateKey]:
    """The database and its key, made on first use.

    Raises LedgerAltered where a part is missing; LedgerNewer, OSError, sqlite3.Error, ValueError.
    """
    if places.key.exists():
        for part in (places.database, places.head):
            if not part.exists():
                raise LedgerAltered(f"{part.name} is missing")
        return _database(places), read_key(places.key)
    rows = _database(places)
    try:
        if rows.execute("SELECT 1 FROM entries").fetchone():
            raise LedgerAltered(f"{places.key.name} is missing: the ledger's own signature cannot be checked")
        return rows, _first_use(places, rows)
    except BaseException:
        rows.close()
        raise


def _first_use(places: Places, rows: sqlite3.Connection) -> Ed25519PrivateKey:
    key = new_key()
    head = Head.empty(key)
    rows.execute("INSERT OR REPLACE INTO head VALUES (1, 0, ?, ?)", (head.hash, head.signature))
    publish_head(stage_head(places.head, head), places.head)
    write_key(key, places.key, places.public_key)
    return key


def _database(places: Places) -> sqlite3.Connection:
    os.close(os.open(places.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    rows = sqlite3.connect(places.database, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            rows.execute(f"PRAGMA {pragma}")
        migrate(rows)
    except BaseException:
        rows.close()
        raise
    return rows
