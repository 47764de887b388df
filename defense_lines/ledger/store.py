"""The store is the ledger's database as its one writing thread sees it: a group of records, one commit, one fsync."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from prometheus_client import Counter

from defense_lines.ledger import index
from defense_lines.ledger.entry import Entry, link
from defense_lines.ledger.faults import InvalidRecord, LedgerAltered, LedgerUnwritable, named_faults
from defense_lines.ledger.founding import found, lock
from defense_lines.ledger.head import Head, publish_head, read_head, stage_head
from defense_lines.ledger.names import Names, has_keys
from defense_lines.ledger.needed import Needed
from defense_lines.ledger.places import Places
from defense_lines.ledger.recalling import recall
from defense_lines.ledger.record import (
    Answer,
    Answers,
    Blocked,
    Posture,
    Record,
    encode,
    from_tree,
    kind_of,
    to_tree,
)
from defense_lines.ledger.snapshot import Snapshot, beginnings
from defense_lines.ledger.snapshot import write as write_snapshot
from defense_lines.ledger.sums import number_of

Result = tuple[Entry, bool] | InvalidRecord  # the entry and whether it is new
Erasure = Literal["erased", "unknown", "in_use"]

_LAG = Counter("portcullis_defense_lines_ledger_head_lag_total", "Commits whose signed head could not be published")
log = structlog.get_logger()


class Store:
    """Opened once, then used by one thread. Raises LedgerInUse, LedgerAltered, LedgerUnwritable, OSError."""

    def __init__(self, places: Places, now: float) -> None:
        self._places = places
        self._lock = lock(places)
        self._open: list[sqlite3.Connection | Names] = []
        try:
            with named_faults():
                self._rows, self._key = found(places)
                self._open.append(self._rows)
                self._names = _named(self._rows, places)
                self._open.append(self._names)
                self.head = self._verified(now)
                self._needed = Needed(self._rows, self.standing.undecided.held(now))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the ledger back."""
        for each in reversed(self._open):
            each.close()
        self._open.clear()
        os.close(self._lock)

    def cursors(self) -> dict[str, int]:
        """How far each line has answered."""
        return dict(self._rows.execute("SELECT line, seq FROM cursors"))

    def commit(self, records: Sequence[Record], cursors: Mapping[str, int], now: float) -> list[Result]:
        """Write all in one transaction, durably; for each the entry and whether it is new.

        A block that stands on record already is answered with its entry. Raises LedgerUnwritable: then none is written.
        """
        try:
            results, head, staged = self._prepare(records, cursors, now)
            self._names.commit()
            self._rows.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            raise LedgerUnwritable(str(error)) from error
        self.head = head
        self._needed.fold((result[0].record for result in results if isinstance(result, tuple)), now)
        if staged:
            self._publish(staged)
        return results

    def erase(self, name: str, now: float) -> Erasure:
        """Forget a name, unless what lives or waits still needs it. Raises LedgerUnwritable."""
        try:
            pseudonym = self._names.find(name)
            if pseudonym and self._needed.has(name, pseudonym, now):
                return "in_use"
            return "erased" if self._names.erase(name) else "unknown"
        except sqlite3.Error as error:
            raise LedgerUnwritable(str(error)) from error

    def snapshots(self) -> list[Snapshot]:
        """The anchor and the newest snapshot, as far as there are any that one can begin from."""
        return beginnings(self._rows, self._key.public_key())

    def sign_head(self, seq: int, hash_: bytes) -> Head:
        """The head that stood when this entry was the last."""
        return Head.sign(seq, hash_, self._key)

    def keep(self, snapshot: Snapshot) -> Snapshot:
        """Sign a snapshot and write it, durably. Raises LedgerUnwritable."""
        signed = snapshot.signed(self._key)
        self._write_all(lambda: write_snapshot(self._rows, signed))
        return signed

    def sweep(self, anchor: Snapshot, kept: Set[int], after: int, limit: int) -> int:
        """Remove some of what an anchor does not keep; up to which entry that is done. Raises LedgerUnwritable."""
        query = "SELECT seq, kind, body FROM entries WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        found = self._rows.execute(query, (after, anchor.seq, limit)).fetchall()
        self._write_all(lambda: self._remove([row for row in found if row[0] not in kept]))
        return int(found[-1][0]) if found else anchor.seq

    def _remove(self, found: Sequence[tuple[int, str, str]]) -> None:
        for seq, kind, body in found:
            index.remove(self._rows, seq, kind, msgspec.json.decode(body))
        self._rows.executemany("DELETE FROM entries WHERE seq = ?", [(seq,) for seq, _, _ in found])

    def _write_all(self, statements: Callable[[], None]) -> None:
        try:
            self._rows.execute("BEGIN IMMEDIATE")
            statements()
            self._rows.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            raise LedgerUnwritable(str(error)) from error

    def _prepare(
        self, records: Sequence[Record], cursors: Mapping[str, int], now: float
    ) -> tuple[list[Result], Head, Path | None]:
        self._rows.execute("BEGIN IMMEDIATE")
        seq, hash_ = self.head.seq, self.head.hash
        results: list[Result] = []
        for record in records:
            result = self._write(record, seq + 1, hash_, now)
            if isinstance(result, tuple) and result[1]:
                seq, hash_ = result[0].seq, result[0].hash
            results.append(result)
        self._rows.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?)", cursors.items())
        if seq == self.head.seq:
            return results, self.head, None
        head = Head.sign(seq, hash_, self._key)
        self._rows.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?)", (seq, hash_, head.signature))
        # staged before the commit: a full disk shows here, while all can be undone
        return results, head, stage_head(self._places.head, head)

    def _write(self, record: Record, seq: int, previous: bytes, now: float) -> Result:
        if isinstance(record, Blocked) and (known := self._known(record)):
            return known, False
        kind = kind_of(record)
        try:
            if isinstance(record, Blocked):
                number_of(record.block)  # what stands is summed by it
            tree = self._names.conceal(to_tree(record), heard=_heard(record))
            body = encode(tree, kind)
        except InvalidRecord as error:
            return error
        except ValueError as error:  # text that is none among them
            return InvalidRecord(f"{kind}: {error}")
        hash_ = link(previous, seq, now, kind.encode(), body)
        self._rows.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (seq, now, kind, body.decode(), hash_))
        index.write(self._rows, seq, kind, tree)
        return Entry(seq, now, record, hash_), True

    def _known(self, record: Blocked) -> Entry | None:
        query = """SELECT seq, time, body, hash FROM mentions JOIN entries USING (seq)
            WHERE what = ? AND kind = 'block'"""
        row = self._rows.execute(query, (record.block,)).fetchone()
        return Entry(row[0], row[1], self._read("block", row[2]), row[3]) if row else None

    def _read(self, kind: str, body: str | bytes) -> Record:
        return from_tree(kind, self._names.reveal_all(msgspec.json.decode(body)))

    def _publish(self, staged: Path) -> None:
        # all is durable and signed inside the database: a head that lags is repaired by the next commit or opening
        try:
            publish_head(staged, self._places.head)
        except OSError as error:
            _LAG.inc()
            log.error("ledger head not published", seq=self.head.seq, error=str(error))

    def _roll_back(self) -> None:
        self._names.roll_back()
        if self._rows.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._rows.execute("ROLLBACK")

    def _verified(self, now: float) -> Head:
        """Follow the chain from the newest snapshot on; what stands is remembered on the way. The head, repaired if a
        crash left it behind.
        """
        outer = _outer_head(self._places)
        self.standing = recall(self._rows, self._names, outer, self._key.public_key(), now)
        head = Head(*self._rows.execute("SELECT seq, hash, signature FROM head").fetchone())
        if head != outer:
            publish_head(stage_head(self._places.head, head), self._places.head)
        return head


def _named(rows: sqlite3.Connection, places: Places) -> Names:
    known = places.names.exists() and has_keys(places.names)
    if not known and rows.execute("SELECT 1 FROM names").fetchone():
        log.error(
            "the keys of all names are lost: who earlier entries are about cannot be read", file=str(places.names)
        )
    return Names(rows, places.names)


def _heard(record: Record) -> bool:
    """Whether a record's words are a line's, or what was said of its failing."""
    return isinstance(record, Answers | Answer) or (isinstance(record, Posture) and record.by.startswith("guard:"))


def _outer_head(places: Places) -> Head:
    try:
        head = read_head(places.head)
    except msgspec.DecodeError as error:
        raise LedgerAltered(f"{places.head.name} cannot be read: {error}") from error
    if head is None:
        raise LedgerAltered(f"{places.head.name} is missing")
    return head
