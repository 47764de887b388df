"""Verify reads a ledger's file and says what in it is altered, missing or cut off. It needs no running gateway."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from defense_lines.ledger import index
from defense_lines.ledger.archive import archives, leading, read
from defense_lines.ledger.chain import Chain, Finding
from defense_lines.ledger.entry import GENESIS
from defense_lines.ledger.faults import LedgerNewer
from defense_lines.ledger.head import Head, read_head
from defense_lines.ledger.migrations import VERSION, check_version, present_schema, schema, version_of
from defense_lines.ledger.snapshot import Digest, Snapshot, beginnings, kept_rows, snapshots

_ROWS = "SELECT seq, time, kind, body, hash FROM entries WHERE seq > ? ORDER BY seq"
Each = Callable[[int, float, bytes, bytes], None]


def verify(
    path: Path, head_file: Path, public_key: Ed25519PublicKey, archive: Path | None = None
) -> tuple[Finding, ...]:
    """Check every entry's hash, the order of entries, and both signed heads; empty means intact.

    `path` may be in use by a running gateway, or a copy (with its `-wal` file where there is one). The head is read
    first, so that entries written meanwhile do no harm. With the folder of its archives, ledger and archives are
    checked as one chain; without, what was archived is taken from the signed anchor on.
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
        findings += _whole(rows, head, public_key, archive)
    except (LedgerNewer, sqlite3.Error) as error:
        findings.append(Finding(0, f"the database cannot be read: {error}"))
    finally:
        rows.close()
    return tuple(findings)


def moved(path: Path) -> int:
    """The last entry that was moved into an archive, 0 if none was. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as rows:
        return max((each.seq for each in snapshots(rows) if each.archive), default=0)


def hash_at(path: Path, seq: int, archive: Path | None = None) -> bytes | None:
    """An entry's hash as it stands in the ledger's file or in an archive; None if there is no such entry.

    Raises OSError, sqlite3.Error.
    """
    if seq == 0:
        return GENESIS  # the head of a ledger without entries
    files = [(0, path)]
    if archive:
        files += ((upto, file) for _, upto, file in leading(archives(archive), moved(path)))
    for upto, file in files:
        if upto and seq > upto:
            continue
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as rows:
            rows.text_factory = bytes
            if row := rows.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone():
                return bytes(row[0]) if isinstance(row[0], bytes) else None
    return None


def check(rows: sqlite3.Connection, head: Head | None, key: Ed25519PublicKey, each: Each) -> list[Finding]:
    """Follow the chain from the newest snapshot on, in one view of the database. `each` is told seq, time, kind and
    body of every entry that the snapshot keeps or that follows it, and that is as it was written.
    """

    def look() -> list[Finding]:
        found = beginnings(rows, key)
        return _from(rows, found[-1] if found else None, head, key, each)

    return _looked(rows, look)


def _whole(rows: sqlite3.Connection, head: Head | None, key: Ed25519PublicKey, archive: Path | None) -> list[Finding]:
    def look() -> list[Finding]:
        found = snapshots(rows)
        anchor = next((each for each in found if each.archive), None)
        findings = _from(rows, anchor, head, key, None)
        findings += [finding for each in found if each is not anchor for finding in _kept(rows, each, key, None)]
        if anchor:
            findings += _left_over(rows, anchor)
        if anchor and archive:
            findings += _archived(archive, anchor, key)
        return findings

    return [*_looked(rows, look), *_structure(rows), *_index(rows)]


def _looked(rows: sqlite3.Connection, look: Callable[[], list[Finding]]) -> list[Finding]:
    rows.text_factory = bytes  # an altered text need not be UTF-8
    try:
        rows.execute("BEGIN")
        try:
            return look()
        finally:
            rows.execute("ROLLBACK")
    except (sqlite3.Error, UnicodeError) as error:  # an altered schema need not be text either
        return [Finding(0, f"the database cannot be read: {error}")]
    finally:
        rows.text_factory = str


def _from(
    rows: sqlite3.Connection, base: Snapshot | None, head: Head | None, key: Ed25519PublicKey, each: Each | None
) -> list[Finding]:
    findings = list(_kept(rows, base, key, each)) if base else []
    mark = head.seq if head else None
    chain = Chain(base.seq, base.hash, mark) if base else Chain(mark=mark)
    inner = _inner_head(rows)
    for row in rows.execute(_ROWS, (chain.seq,)):
        if finding := chain.follow(row):
            findings.append(finding)
        elif each:
            each(*row[:4])
    if base and mark is not None and mark < base.seq:  # a head that was left behind
        found = rows.execute("SELECT hash FROM entries WHERE seq = ?", (mark,)).fetchone()
        chain.marked = found[0] if found else None
    return findings + list(_heads(chain, head, inner, key))


def _kept(rows: sqlite3.Connection, base: Snapshot, key: Ed25519PublicKey, each: Each | None) -> Iterator[Finding]:
    """The entries that a snapshot keeps must be there, as they were written."""
    if not base.signed_by(key):
        yield Finding(base.seq, "the signature of the snapshot at this entry is not the ledger's")
        return
    seqs = _seqs(base)
    missing, digest = set(seqs), Digest()
    for row in kept_rows(rows, seqs):
        missing.discard(row[0])
        try:
            digest.add(row)
        except (struct.error, TypeError):
            yield Finding(row[0], "altered: it is not what an entry can be")
        if each:
            each(*row[:4])
    yield from (Finding(seq, f"missing, and kept by the snapshot at entry {base.seq}") for seq in sorted(missing))
    if not missing and digest.digest() != base.digest:
        yield Finding(base.seq, f"an entry was altered that the snapshot at entry {base.seq} keeps")
    yield from _own_hash(rows, base)


def _own_hash(rows: sqlite3.Connection, base: Snapshot) -> Iterator[Finding]:
    found = rows.execute("SELECT hash FROM entries WHERE seq = ?", (base.seq,)).fetchone()
    if found and found[0] != base.hash:
        yield Finding(base.seq, "altered: its hash is not the one that the snapshot here was signed with")


def _left_over(rows: sqlite3.Connection, anchor: Snapshot) -> list[Finding]:
    """Of what lies before an anchor only what it keeps may be there; more may be what a compaction did not finish."""
    (found,) = rows.execute("SELECT count(*) FROM entries WHERE seq <= ?", (anchor.seq,)).fetchone()
    surplus = found - len(_seqs(anchor))
    words = f"{surplus} entries before this one are not of those that were kept here: forged, or left by a compaction"
    return [Finding(anchor.seq, f"{words} that was interrupted (run it again)")] if surplus > 0 else []


def _archived(folder: Path, anchor: Snapshot, key: Ed25519PublicKey) -> Iterator[Finding]:
    """Every archive in the ledger's order, as one chain that ends at the anchor."""
    chain, kept, digest = Chain(), frozenset(_seqs(anchor)), Digest()
    try:
        found = leading([each for each in archives(folder) if each[0] <= anchor.seq], anchor.seq)
    except OSError as error:
        yield Finding(0, f"the archives cannot be read: {error}")
        return
    for first, _, path in found:
        if first != chain.seq + 1:
            yield Finding(chain.seq + 1, f"the archive that begins with this entry is missing: next is {path.name}")
            return
        try:
            yield from (_named(path, each) for each in _one_archive(path, chain, kept, digest, key))
        except (sqlite3.Error, struct.error, TypeError) as error:
            yield Finding(first, f"archive {path.name}: cannot be read: {error}")
            return
    if (chain.seq, chain.hash) != (anchor.seq, anchor.hash):
        yield Finding(chain.seq + 1, f"the archives end at entry {chain.seq}, the ledger begins after {anchor.seq}")
    elif digest.digest() != anchor.digest:
        yield Finding(anchor.seq, "what the ledger keeps of the archived entries is not what the archives have")


def _one_archive(
    path: Path, chain: Chain, kept: frozenset[int], digest: Digest, key: Ed25519PublicKey
) -> Iterator[Finding]:
    signed = False
    for each in read(path):
        if isinstance(each, Head):
            signed = each.signed_by(key) and (each.seq, each.hash) == (chain.seq, chain.hash)
            continue
        if finding := chain.follow(each):
            yield finding
        if each[0] in kept:
            digest.add(each)
    if not signed:
        yield Finding(chain.seq, "its end is not signed by the ledger")


def _named(path: Path, finding: Finding) -> Finding:
    return Finding(finding.seq, f"archive {path.name}: {finding.what}")


def _seqs(snapshot: Snapshot) -> array[int]:
    try:
        return snapshot.seqs()
    except (zlib.error, ValueError, TypeError, OverflowError):
        return array("Q")  # altered: its signature says so


def _heads(chain: Chain, outer: Head | None, inner: Head | None, key: Ed25519PublicKey) -> Iterator[Finding]:
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
    elif outer.hash != (GENESIS if outer.seq == 0 else chain.marked):
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
        return [Finding(0, f"the database is damaged: {answer}") for answer in answers if answer != "ok"] + _schema(
            rows
        )
    except (sqlite3.Error, UnicodeError) as error:
        return [Finding(0, f"the database is damaged: {error}")]


def _schema(rows: sqlite3.Connection) -> list[Finding]:
    """Triggers that guard entries may be gone; and a reader overlooks what a writer would stumble over."""
    if version_of(rows) < VERSION:
        return []
    found, expected = schema(rows), present_schema()
    wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return [Finding(0, f"the schema is not the ledger's: {name} is altered, missing or foreign") for name in wrong]
