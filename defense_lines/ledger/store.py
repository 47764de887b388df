"""The store is the ledger's database as its one writing thread sees it: a group of records, one commit, one fsync."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
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
from defense_lines.ledger.names import PERSONAL, Names, is_pseudonym
from defense_lines.ledger.places import Places
from defense_lines.ledger.record import (
    Blocked,
    Lift,
    Record,
    Revocation,
    Risk,
    decode,
    encode,
    from_tree,
    kind_of,
    to_tree,
)
from defense_lines.ledger.snapshot import Snapshot, snapshots
from defense_lines.ledger.snapshot import write as write_snapshot
from defense_lines.ledger.standing import FOLDED, Standing, over
from defense_lines.ledger.sums import number_of
from defense_lines.ledger.verify import check
from policy import Target

Result = tuple[Entry, bool] | InvalidRecord  # the entry and whether it is new
Erasure = Literal["erased", "unknown", "in_use"]

_FOLDED = frozenset(kind.encode() for kind in FOLDED)
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
                self._names = Names(self._rows, places.names)
                self._open.append(self._names)
                self.standing = Standing()
                self.head = self._verified(now)
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
            self._rows.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            raise LedgerUnwritable(str(error)) from error
        self.head = head
        if staged:
            self._publish(staged)
        return results

    def erase(self, name: str, now: float) -> Erasure:
        """Forget a name, unless what lives still needs it. Raises LedgerUnwritable."""
        try:
            pseudonym = self._names.find(name)
            if pseudonym and self._in_use(pseudonym, now):
                return "in_use"
            return "erased" if self._names.erase(name) else "unknown"
        except sqlite3.Error as error:
            raise LedgerUnwritable(str(error)) from error

    def snapshots(self) -> list[Snapshot]:
        """The anchor and the newest snapshot, as far as there are any."""
        return snapshots(self._rows)

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

    def _in_use(self, pseudonym: str, now: float) -> bool:
        """Whether a live block, or a risk or revocation in force, is about a name."""
        query = "SELECT kind, body FROM mentions JOIN entries USING (seq) WHERE what = ? ORDER BY seq"
        records = [decode(kind, body) for kind, body in self._rows.execute(query, (pseudonym,))]
        risk = next((each for each in reversed(records) if isinstance(each, Risk)), None)
        return bool(risk and risk.expires > now) or any(self._stands(record, now) for record in records)

    def _stands(self, record: Record, now: float) -> bool:
        if isinstance(record, Revocation):
            return record.until > now
        if not isinstance(record, Blocked) or record.policy.expires <= now:
            return False
        query = "SELECT 1 FROM mentions JOIN entries USING (seq) WHERE what = ? AND kind = 'lift'"
        return self._rows.execute(query, (record.block,)).fetchone() is None

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
            tree = self._names.conceal(to_tree(record))
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
        self._names.forget_cache()
        if self._rows.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._rows.execute("ROLLBACK")

    def _verified(self, now: float) -> Head:
        """Follow the chain from the newest snapshot on; what stands is remembered on the way. The head, repaired if a
        crash left it behind.
        """
        outer = _outer_head(self._places)
        memory = _Memory(self.standing, self._names, now)
        with _collecting_nothing():
            findings = check(self._rows, outer, self._key.public_key(), memory.take)
        if findings:
            raise LedgerAltered("; ".join(f"entry {finding.seq}: {finding.what}" for finding in findings[:5]))
        memory.check_names()
        for snapshot in self.snapshots():
            self.standing.orders.skip(snapshot.last)
        head = Head(*self._rows.execute("SELECT seq, hash, signature FROM head").fetchone())
        if head != outer:
            publish_head(stage_head(self._places.head, head), self._places.head)
        return head


class _Memory:
    """Folds entries as they are read, with their names again where what they say may still be in force."""

    def __init__(self, standing: Standing, names: Names, now: float) -> None:
        self._standing, self._names, self._now = standing, names, now
        self._nameless: list[tuple[int, Record]] = []

    def take(self, seq: int, kind: bytes, body: bytes) -> None:
        """One more entry. Raises LedgerAltered."""
        if kind not in _FOLDED:
            return
        try:
            record = decode(kind.decode(), body)
            if isinstance(record, Blocked | Lift):
                self._standing.orders.skip(seq)
            if not over(record, self._now):
                self._standing.fold(seq, self._named(seq, record) if b"~" in body else record, self._now)
        except (msgspec.MsgspecError, ValueError) as error:
            raise LedgerAltered(f"entry {seq} is none of ours: {error}") from error

    def check_names(self) -> None:
        """What lives needs its names; what is over may have had them erased. Raises LedgerAltered."""
        if any(self._standing.needs(seq, record, self._now) for seq, record in self._nameless):
            raise LedgerAltered("the key of a name that a live block, risk or revocation needs is missing")

    def _named(self, seq: int, record: Record) -> Record:
        revealed = from_tree(kind_of(record), self._names.reveal_all(to_tree(record)))
        if is_pseudonym(_name_of(revealed)):
            self._nameless.append((seq, revealed))
        return revealed


@contextlib.contextmanager
def _collecting_nothing() -> Iterator[None]:
    """What is loaded stays: to look through all of it for garbage again and again takes longer than loading it."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _name_of(record: Record) -> str:
    """The name that a record of what lives is about, empty if it is nobody's."""
    if isinstance(record, Risk):
        return record.principal
    about = record.policy.target if isinstance(record, Blocked) else record
    return about.value if isinstance(about, Target | Revocation) and about.kind in PERSONAL else ""


def _outer_head(places: Places) -> Head:
    try:
        head = read_head(places.head)
    except msgspec.DecodeError as error:
        raise LedgerAltered(f"{places.head.name} cannot be read: {error}") from error
    if head is None:
        raise LedgerAltered(f"{places.head.name} is missing")
    return head
