"""Recalling folds what is written into what stands, when a ledger is opened or put back from a backup."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
from collections.abc import Iterator

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from defense_lines.ledger.faults import LedgerAltered
from defense_lines.ledger.head import Head
from defense_lines.ledger.names import PERSONAL, Names, is_pseudonym
from defense_lines.ledger.record import (
    Blocked,
    Held,
    Lift,
    Record,
    Revocation,
    Risk,
    decode,
    from_tree,
    kind_of,
    to_tree,
)
from defense_lines.ledger.snapshot import snapshots
from defense_lines.ledger.standing import FOLDED, Standing, over
from defense_lines.ledger.verify import check
from policy import Target

_FOLDED = frozenset(kind.encode() for kind in FOLDED)
log = structlog.get_logger()


def recall(rows: sqlite3.Connection, names: Names, head: Head, key: Ed25519PublicKey, now: float) -> Standing:
    """Follow the chain from the newest snapshot on up to a signed head, and remember what stands on the way.

    Raises LedgerAltered, also where what lives needs a name whose key is not there; sqlite3.Error.
    """
    standing = Standing()
    memory = _Memory(standing, names, now)
    with _collecting_nothing():
        findings = check(rows, head, key, memory.take)
    if findings:
        raise LedgerAltered("; ".join(f"entry {finding.seq}: {finding.what}" for finding in findings[:5]))
    memory.check_names()
    for snapshot in snapshots(rows):
        standing.orders.skip(snapshot.last)
    return standing


class _Memory:
    """Folds entries as they are read, with their names again where what they say may still be in force."""

    def __init__(self, standing: Standing, names: Names, now: float) -> None:
        self._standing, self._names, self._now = standing, names, now
        self._nameless: list[tuple[int, Record]] = []

    def take(self, seq: int, time: float, kind: bytes, body: bytes) -> None:
        """One more entry, written at a time. Raises LedgerAltered."""
        if kind not in _FOLDED:
            return
        try:
            record = decode(kind.decode(), body)
            if isinstance(record, Blocked | Lift):
                self._standing.orders.skip(seq)
            if not over(record, self._now):
                named = self._named(seq, record) if b"~" in body else record
                self._standing.fold(seq, named, time, self._now)
        except (msgspec.MsgspecError, ValueError) as error:
            raise LedgerAltered(f"entry {seq} is none of ours: {error}") from error

    def check_names(self) -> None:
        """What lives needs its names; what is over may have had them erased. A block that waits is not in force:
        without its name it is dropped. Raises LedgerAltered.
        """
        needed = [record for seq, record in self._nameless if self._standing.needs(seq, record, self._now)]
        waiting = [record for record in needed if isinstance(record, Held)]
        if len(waiting) < len(needed):
            raise LedgerAltered(
                "the key of a name that a live block, a risk or a revocation needs is missing: "
                "ledger.names is older than the entries, or not theirs"
            )
        for held in waiting:
            log.error("a block waits without its name, whose key is missing: dropped", block=held.block)
            self._standing.undecided.drop(held.block)

    def _named(self, seq: int, record: Record) -> Record:
        revealed = from_tree(kind_of(record), self._names.reveal_all(to_tree(record)))
        name = _name_of(revealed)
        if is_pseudonym(name) and name == _name_of(record):  # somebody's own name may look like one
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
    about = record.policy.target if isinstance(record, Blocked | Held) else record
    return about.value if isinstance(about, Target | Revocation) and about.kind in PERSONAL else ""
