"""Verify reads a ledger's file and says what in it is altered, missing or cut off. It needs no running gateway."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from defense_lines.ledger import index
from defense_lines.ledger.entry import GENESIS, link
from defense_lines.ledger.faults import LedgerNewer
from defense_lines.ledger.head import Head, read_head
from defense_lines.ledger.migrations import check_version, version_of

_ROWS = "SELECT seq, time, kind, body, hash FROM entries ORDER BY seq"


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    seq: int  # the entry, 0 where it is the file as a whole
    what: str  # in words


def verify(path: Path, head_file: Path, public_key: Ed25519PublicKey) -> tuple[Finding, ...]:
    """Check every entry's hash, the order of entries, and both signed heads; empty means intact.

    `path` may be in use by a running gateway, or a copy (with its `-wal` file where there is one). The head is read
    first, so that entries written meanwhile do no harm.
    """
    findings: list[Finding] = []
    try:
        head = read_head(head_file)
    except (OSError, msgspec.DecodeError) as error:
        head, findings = None, [Finding(0, f"the head file cannot be read: {error}")]
    else:
        if head is None:
            findings = [Finding(0, "the head file is missing")]
    try:
        rows = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        return (*findings, Finding(0, f"the database cannot be opened: {error}"))
    try:
        check_version(rows)
        findings += check(rows, head, public_key)
        findings += _structure(rows)
        findings += _index(rows)
    except (LedgerNewer, sqlite3.Error) as error:
        findings.append(Finding(0, f"the database cannot be read: {error}"))
    finally:
        rows.close()
    return tuple(findings)


def check(
    rows: sqlite3.Connection,
    head: Head | None,
    key: Ed25519PublicKey,
    each: Callable[[int, bytes, bytes], None] | None = None,
) -> list[Finding]:
    """Walk the chain in one snapshot; `each` is told seq, kind and body of every entry that is as it was written."""
    rows.text_factory = bytes  # an altered text need not be UTF-8
    try:
        rows.execute("BEGIN")
        try:
            return _check(rows, head, key, each)
        finally:
            rows.execute("ROLLBACK")
    except (sqlite3.Error, UnicodeError) as error:  # an altered schema need not be text either
        return [Finding(0, f"the database cannot be read: {error}")]
    finally:
        rows.text_factory = str


def _check(
    rows: sqlite3.Connection,
    head: Head | None,
    key: Ed25519PublicKey,
    each: Callable[[int, bytes, bytes], None] | None,
) -> list[Finding]:
    chain = _Chain(head.seq if head else None)
    inner = _inner_head(rows)
    findings = []
    for row in rows.execute(_ROWS):
        if finding := chain.follow(row):
            findings.append(finding)
        elif each:
            each(row[0], row[2], row[3])
    return findings + list(_heads(chain, head, inner, key))


class _Chain:
    """Follows the entries; remembers the hash at the outer head's place."""

    def __init__(self, mark: int | None) -> None:
        self.seq, self.hash = 0, GENESIS
        self._mark = mark
        self.marked = GENESIS if mark == 0 else None

    def follow(self, row: tuple[Any, ...]) -> Finding | None:
        seq, stored = row[0], row[4]
        expected, previous = self.seq + 1, self.hash
        self.seq, self.hash = seq, stored
        if seq == self._mark:
            self.marked = stored
        if seq != expected:
            gap = f"entries {expected} to {seq - 1} are missing" if seq > expected else "out of order"
            return Finding(expected, gap)
        try:
            intact = link(previous, *row[:4]) == stored
        except Exception:
            intact = False
        return None if intact else Finding(seq, "altered: its hash does not match its content and the entry before it")


def _heads(chain: _Chain, outer: Head | None, inner: Head | None, key: Ed25519PublicKey) -> Iterator[Finding]:
    if inner is None or not inner.signed_by(key):
        yield Finding(chain.seq, "the database's own head is missing or its signature is not the ledger's")
    elif (inner.seq, inner.hash) != (chain.seq, chain.hash):
        yield Finding(chain.seq, f"the entries end at {chain.seq}, the database's own signed head is at {inner.seq}")
    if outer is None:
        return
    if not outer.signed_by(key):
        yield Finding(outer.seq, "the head file's signature is not the ledger's")
    elif outer.seq > chain.seq:
        yield Finding(chain.seq + 1, f"cut off: entries {chain.seq + 1} to {outer.seq} are missing from the end")
    elif outer.hash != chain.marked:
        yield Finding(outer.seq, "rewritten: its hash is not the one that was signed")


def _inner_head(rows: sqlite3.Connection) -> Head | None:
    row = rows.execute("SELECT seq, hash, signature FROM head").fetchone()
    return Head(*row) if row else None


def _index(rows: sqlite3.Connection) -> list[Finding]:
    """What the index of stories hides; before version 2 it is SQLite's own, and part of the structure."""
    if version_of(rows) < 2:
        return []
    try:
        rows.execute("BEGIN")
        try:
            return [Finding(seq, what) for seq, what in index.differences(rows)]
        finally:
            rows.execute("ROLLBACK")
    except (sqlite3.Error, UnicodeError) as error:
        return [Finding(0, f"the index cannot be read: {error}")]


def _structure(rows: sqlite3.Connection) -> list[Finding]:
    """What SQLite itself finds: a broken page, an index of its own that lacks a row."""
    try:
        answers = [str(row[0]) for row in rows.execute("PRAGMA integrity_check(10)")]
    except (sqlite3.Error, UnicodeError) as error:
        return [Finding(0, f"the database is damaged: {error}")]
    return [Finding(0, f"the database is damaged: {answer}") for answer in answers if answer != "ok"]
