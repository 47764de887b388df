"""The reader looks into the history for people and for catching up, in a thread of its own beside the writer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from defense_lines.ledger import index
from defense_lines.ledger.entry import Entry
from defense_lines.ledger.names import Names
from defense_lines.ledger.places import Places
from defense_lines.ledger.record import Blocked, Lift, from_tree

T = TypeVar("T")
_COLUMNS = "SELECT seq, time, kind, body, hash FROM entries"
_DECLARED = f"{_COLUMNS} JOIN mentions USING (seq) WHERE what >= ? AND what < ? AND kind = 'line' AND time < ?"


class Reader:
    """Reads what is durable, with names in place of pseudonyms where their keys are left. Raises sqlite3.Error."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._thread = ThreadPoolExecutor(1, "ledger-reader")
        self._rows: sqlite3.Connection | None = None
        self._names: Names | None = None

    async def since(self, seq: int, limit: int, kinds: Sequence[str]) -> list[Entry]:
        """Entries after seq, the oldest first."""
        marks = ",".join("?" * len(kinds))
        only = f"AND kind IN ({marks})" if kinds else ""
        query = f"{_COLUMNS} WHERE seq > ? {only} ORDER BY seq LIMIT ?"
        return await self._do(lambda: self._entries(query, (seq, *kinds, limit)))

    async def of_block(self, block_id: str) -> list[Entry]:
        """Every entry that tells something of a block, in order; of what lines declared, what they did in its time."""
        return await self._do(lambda: self._of_block(block_id))

    async def blocked(self, block_id: str) -> Entry | None:
        """The entry that permitted a block."""
        query = f"{_COLUMNS} JOIN mentions USING (seq) WHERE what = ? AND kind = 'block'"
        found = await self._do(lambda: self._entries(query, (block_id,)))
        return found[0] if found else None

    async def known(self, block_ids: Collection[str]) -> set[str]:
        """Which of these blocks were ever permitted."""
        return await self._do(lambda: {block_id for block_id in block_ids if self._permitted(block_id)})

    async def recent(self, limit: int) -> list[Entry]:
        """The latest entries, the newest first."""
        query = f"{_COLUMNS} ORDER BY seq DESC LIMIT ?"
        return await self._do(lambda: self._entries(query, (limit,)))

    async def close(self) -> None:
        """Close the connections in their thread."""
        await self._do(self._close)
        self._thread.shutdown()

    async def _do(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _entries(self, query: str, values: tuple[object, ...]) -> list[Entry]:
        rows, names = self._opened()
        return [_entry(row, names) for row in rows.execute(query, values).fetchall()]

    def _of_block(self, block_id: str) -> list[Entry]:
        entries = self._entries(f"{_COLUMNS} JOIN mentions USING (seq) WHERE what = ?", (block_id,))
        blocked = next((entry.record for entry in entries if isinstance(entry.record, Blocked)), None)
        if blocked is None:
            return []
        orders = [entry for entry in entries if isinstance(entry.record, Blocked | Lift)]
        end = min([blocked.policy.expires, *(entry.time for entry in orders if isinstance(entry.record, Lift))])
        for entry in orders:
            entries += self._covering(entry.seq)
        entries += self._entries(_DECLARED, (index.line(""), index.line("\U0010ffff"), end))
        return sorted({entry.seq: entry for entry in entries}.values(), key=lambda entry: entry.seq)

    def _covering(self, seq: int) -> list[Entry]:
        """Answers that speak of a range with an entry in it."""
        rows, _ = self._opened()
        (last,) = rows.execute("SELECT ifnull(max(seq), 0) FROM entries").fetchone()
        forks = tuple(index.ancestors(seq, last))
        marks = ",".join("?" * len(forks))
        ranges = f"SELECT seq FROM covers WHERE fork IN ({marks}) AND upto >= ? AND after < ?"  # noqa: S608 marks alone
        return self._entries(f"{_COLUMNS} WHERE seq IN ({ranges})", (*forks, seq, seq))

    def _permitted(self, block_id: str) -> bool:
        rows, _ = self._opened()
        query = "SELECT 1 FROM mentions JOIN entries USING (seq) WHERE what = ? AND kind = 'block'"
        return rows.execute(query, (block_id,)).fetchone() is not None

    def _opened(self) -> tuple[sqlite3.Connection, Names]:
        if self._rows is None or self._names is None:
            self._rows = sqlite3.connect(self._places.database, isolation_level=None, check_same_thread=False)
            self._rows.execute("PRAGMA query_only = ON")
            self._names = Names(self._rows, self._places.names)
        return self._rows, self._names

    def _close(self) -> None:
        if self._names:
            self._names.close()
        if self._rows:
            self._rows.close()


def _entry(row: tuple[int, float, str, str, bytes], names: Names) -> Entry:
    seq, time, kind, body, hash_ = row
    return Entry(seq, time, from_tree(kind, names.reveal_all(msgspec.json.decode(body))), hash_)
