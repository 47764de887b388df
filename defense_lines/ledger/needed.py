"""Needed names are those that cannot be erased yet: something in force is about them, or a block that waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from defense_lines.ledger.names import PERSONAL
from defense_lines.ledger.orders import KEEP
from defense_lines.ledger.record import Approval, Blocked, Held, Record, Revocation, Risk, decode


class Needed:
    """Belongs to the writing thread, which alone knows what it has written already. Times are Unix seconds."""

    def __init__(self, rows: sqlite3.Connection, waiting: Iterable[Held]) -> None:
        self._rows = rows
        self._waiting = {held.block: held for held in waiting}  # by block id; the index has no names of these

    def fold(self, records: Iterable[Record], now: float) -> None:
        """Take records into account that are durable now; those of most kinds are found by the index."""
        for record in records:
            if isinstance(record, Held):
                self._waiting = {name: each for name, each in self._waiting.items() if each.until > now - KEEP}
                self._waiting[record.block] = record
            elif isinstance(record, Approval):
                self._waiting.pop(record.block, None)

    def has(self, name: str, pseudonym: str, now: float) -> bool:
        """Whether a live block or one that waits, or a risk or revocation in force, is about a name. Raises
        sqlite3.Error.
        """
        return self._waits(name, now) or self._in_force(pseudonym, now)

    def _waits(self, name: str, now: float) -> bool:
        targets = (held.policy.target for held in self._waiting.values() if held.until > now)
        return any(target.kind in PERSONAL and target.value == name for target in targets)

    def _in_force(self, pseudonym: str, now: float) -> bool:
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
