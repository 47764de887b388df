"""The ledger is the durable, chained history of blocks; what it acknowledges survives a crash."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from defense_lines.ledger.committer import Committer
from defense_lines.ledger.entry import Entry
from defense_lines.ledger.faults import InvalidRecord
from defense_lines.ledger.head import Head
from defense_lines.ledger.keeping import Compaction, Keeping
from defense_lines.ledger.orders import Place, Whom
from defense_lines.ledger.places import Places
from defense_lines.ledger.reader import Reader
from defense_lines.ledger.record import (
    Answers,
    Blocked,
    Posture,
    Record,
    Revocation,
    Risk,
    Synced,
    Written,
    to_record,
)
from defense_lines.ledger.store import Erasure, Store
from defense_lines.ledger.story import Story, tell
from defense_lines.ledger.undecided import Undecided
from defense_lines.line import Capabilities, Digest, Order, Orders
from policy import BlockPolicy, TargetKind

__all__ = ["Erasure", "Ledger"]
_SYNCED = 10_000  # commits whose moments wait for answers to go on record with
_PAGE = 250  # orders that are looked at in one turn of the loop
_SHARED = 0.02  # seconds for which orders are shared: lines count what lives from their `time` on
Watcher = Callable[[Sequence[Entry]], None]


class Ledger:
    """Opened with `Ledger.open(folder)`, which verifies the whole history; closed with `close` or `async with`.

    Belongs to one event loop, which never touches the disk: what lives and how far lines are is held in memory.
    """

    def __init__(
        self, places: Places, store: Store, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self.places = places
        self._clock = clock
        self._monotonic = monotonic
        self._store = store
        self._standing = store.standing
        self._head = store.head
        self._cursors = store.cursors()
        self._watchers: list[Watcher] = []
        self._synced: deque[Synced] = deque(maxlen=_SYNCED)
        self._shared: dict[tuple[int, int, frozenset[TargetKind], int], Orders] = {}
        self._reader = Reader(places)
        self._committer = Committer(store, clock, self._committed)
        self._keeping = Keeping(places, store, self._committer)

    @classmethod
    async def open(
        cls,
        folder: Path,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Open or found the ledger in a folder. `clock` gives Unix seconds; `monotonic` is the clock of permits' times.

        Raises LedgerInUse, LedgerAltered, LedgerNewer, LedgerUnwritable, OSError, ValueError (the key file is no key).
        """
        places = Places(folder)
        store = await asyncio.to_thread(Store, places, clock())
        return cls(places, store, clock, monotonic)

    @property
    def head(self) -> Head:
        """The signed head of what is durable."""
        return self._head

    @property
    def writable(self) -> bool:
        """Whether the disk took what it was last given, and takes what it is being given now within seconds."""
        return self._committer.writable

    async def append(self, record: Written) -> Entry:
        """Returns when durable. A block already on record is answered with the entry it has.

        Raises LedgerUnwritable (nothing is acknowledged), InvalidRecord, TypeError for a block without permit.
        """
        (result,) = await self._committer.append([self._record(record)], {})
        if isinstance(result, InvalidRecord):
            raise result
        return result[0]

    async def append_all(
        self, records: Sequence[Written], cursors: Mapping[str, int] | None = None
    ) -> list[Entry | InvalidRecord]:
        """Append many and move lines' cursors, in one commit; an invalid record is answered in its place.

        Raises LedgerUnwritable, TypeError.
        """
        results = await self._committer.append([self._record(record) for record in records], cursors or {})
        return [result[0] if isinstance(result, tuple) else result for result in results]

    async def advance(self, line: str, seq: int) -> None:
        """The line has answered all orders up to seq. Raises LedgerUnwritable."""
        await self._committer.append([], {line: seq})

    def cursor(self, line: str) -> int:
        """Up to which entry the line has answered; 0 for a line never seen."""
        return self._cursors.get(line, 0)

    def live(self, now: float) -> list[BlockPolicy]:
        """Blocks that stand now: durable, not lifted, not expired; in order of acceptance.

        Takes a fraction of a second for a million: a loop that serves anybody takes `pages`.
        """
        return list(self._standing.orders.live(now))

    async def pages(self) -> AsyncIterator[list[BlockPolicy]]:
        """The same, some at a time, each time those that stand then; others run in between."""
        place = 0
        while found := self._standing.orders.page(place, self._clock(), _PAGE):
            blocks, place = found
            yield blocks
            await asyncio.sleep(0)

    def standing(self, block_id: str, now: float) -> BlockPolicy | None:
        """The block, if it stands now."""
        return self._standing.orders.block(block_id, now)

    def approved(self, block_id: str) -> bool:
        """Whether a second person approved a live block."""
        return self._standing.approved(block_id)

    def orders(self, after: int, whom: Whom, now: float, limit: int) -> Orders:
        """At most `limit` orders for a line that was told everything up to entry `after`. Lines that are told the same
        share one value, so that it is encoded once.
        """
        key = (after, self._standing.orders.last, whom.targets, limit)
        known = self._shared.get(key)
        if known and 0 <= now - known.time < _SHARED:
            return known
        told = self._standing.orders.since(after, whom, now, limit)
        orders = Orders(after=after, upto=told.upto, orders=told.orders, head=str(self._head), time=now)
        if told.shared and told.orders:
            self._shared[key] = orders
        return orders

    def repair(self, orders: tuple[Order, ...], now: float) -> Orders:
        """Orders for one line, out of turn."""
        return Orders(after=None, upto=self._standing.orders.last, orders=orders, head=str(self._head), time=now)

    def behind(self, after: int, whom: Whom, now: float) -> int:
        """How many orders a line has still to be told that was told everything up to entry `after`; above a thousand,
        how many at most.
        """
        return self._standing.orders.behind(after, whom, now)

    def place(self, block_id: str) -> Place | None:
        """The latest order about a block, as long as it is not forgotten."""
        return self._standing.orders.place(block_id)

    def digest(self, upto: int, whom: Whom, time: float) -> Digest:
        """Of the blocks that a line should hold which was told everything up to entry `upto`, and that outlive `time`
        (Unix seconds).
        """
        return self._standing.orders.digest(upto, whom, time)

    def held(self, upto: int, whom: Whom, time: float) -> set[str]:
        """The ids of the same."""
        return self._standing.orders.held(upto, whom, time)

    def trusted(self, line: str, cursor: int) -> int:
        """Up to which entry a line was told of this history that says it was told everything up to entry `cursor`.

        Less than it says where the ledger goes on from a backup that is older than what the line was told since, or
        where the line was told by another ledger: it may hold what is not known here, and lack what is.
        """
        restored = self._standing.restored
        ours = cursor <= restored or not restored or self.cursor(line) > restored
        return cursor if ours and cursor <= self._head.seq else restored

    @property
    def last_order(self) -> int:
        """The newest entry that ordered anything."""
        return self._standing.orders.last

    def posture(self, line: str) -> Posture | None:
        """What was last said of whether a line is given orders; None if nothing ever was."""
        return self._standing.posture(line)

    def declared(self, line: str) -> Capabilities | None:
        """What a line last declared that it can do; None if it never did."""
        return self._standing.declared(line)

    def risks(self, now: float) -> list[Risk]:
        """Risks in force, the latest of each principal."""
        return self._standing.risks(now)

    def revocations(self, now: float) -> list[Revocation]:
        """Revocations in force, less those that another covers."""
        return self._standing.revocations(now)

    @property
    def undecided(self) -> Undecided:
        """What somebody has still to decide, and what was found to do harm."""
        return self._standing.undecided

    async def since(self, seq: int, limit: int = 1000, kinds: Sequence[str] = ()) -> list[Entry]:
        """Entries after seq, the oldest first; `kinds` are "block", "refusal", "lift", "receipt", "line", "receipts",
        "posture", "risk", "cut", "revocation", "data"; none means all.
        """
        return await self._reader.since(seq, limit, kinds)

    async def block(self, block_id: str) -> BlockPolicy | None:
        """A block that was ever permitted."""
        entry = await self._reader.blocked(block_id)
        return entry.record.policy if entry and isinstance(entry.record, Blocked) else None

    async def known(self, block_ids: Collection[str]) -> set[str]:
        """Which of these blocks were ever permitted, whether they stand or not."""
        return await self._reader.known(block_ids)

    async def story(self, block_id: str) -> Story | None:
        """Everything that happened to a block; None if it was never permitted."""
        return tell(await self._reader.of_block(block_id))

    async def recent(self, limit: int = 100) -> list[Entry]:
        """The latest entries, the newest first."""
        return await self._reader.recent(limit)

    async def erase(self, name: str) -> Erasure:
        """Forget a personal identifier for good; the history still verifies.

        "in_use" while a live block or one that waits, or a risk or revocation in force, is about it. Raises
        LedgerUnwritable.
        """
        return await self._committer.do(lambda: self._store.erase(name, self._clock()))

    async def compact(self, before: float, folder: Path, by: str, dry_run: bool = False) -> Compaction:
        """Move what was written before a time (Unix seconds) into an archive in a folder, but for what still matters.

        Appends go on meanwhile. Raises LedgerAltered, LedgerUnwritable, OSError: then nothing is lost.
        """
        orders = self._standing.orders
        kept = self._standing.seqs()
        return await self._keeping.compact(before, folder, by, orders.last, kept, dry_run)

    async def snapshot(self) -> None:
        """Sign what stands now, so that the next opening begins here. Raises LedgerAltered, LedgerUnwritable."""
        await self._keeping.snapshot(self._head.seq, self._standing.orders.last, self._standing.seqs())

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` of each group of new entries on the loop, once durable, before their appends return."""
        self._watchers.append(watcher)

    async def close(self) -> None:
        """Write what waits and give the ledger back."""
        await self._keeping.close()
        await self._reader.close()
        await self._committer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _record(self, written: Written) -> Record:
        record = to_record(written, self._clock() - self._monotonic())
        if not isinstance(record, Answers):
            return record
        record = msgspec.structs.replace(record, durable=tuple(self._synced))
        self._synced.clear()
        return record

    def _committed(self, entries: list[Entry], cursors: Mapping[str, int], head: Head) -> None:
        if any(isinstance(entry.record, Blocked) for entry in entries):
            self._synced.append(Synced(self._head.seq, head.seq, self._clock()))
        self._head = head
        self._shared.clear()
        self._cursors.update(cursors)
        for entry in entries:
            self._standing.fold(entry.seq, entry.record, entry.time, entry.time)
        if self._keeping.due(head.seq):
            self._keeping.begin(head.seq, self._standing.orders.last, self._standing.seqs())
        for watcher in self._watchers:
            watcher(entries)
