"""Keeping is the ledger's housekeeping beside its writing: snapshots in the background, compaction on demand."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog
from prometheus_client import Counter

from defense_lines.ledger.archive import ArchiveWriter, name_of
from defense_lines.ledger.committer import Committer
from defense_lines.ledger.faults import LedgerAltered, LedgerUnwritable, named_faults
from defense_lines.ledger.places import Places
from defense_lines.ledger.record import Compacted
from defense_lines.ledger.snapshot import Snapshot, ordered, pack
from defense_lines.ledger.store import Store
from defense_lines.ledger.survey import Surveyed, survey
from defense_lines.ledger.verify import moved

EVERY = 100_000  # entries between two snapshots
_REST = 0.004  # seconds that a survey rests after each chunk, so that the event loop runs
_SWEEP = 2_000  # entries looked at in one transaction that removes
_FAILED = Counter("portcullis_defense_lines_ledger_snapshots_failed_total", "Snapshots that were not taken")
T = TypeVar("T")
log = structlog.get_logger()


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """What a compaction did, or would do."""

    upto: int  # the newest entry that it moved, 0 where there was nothing to move
    moved: int  # entries in the archive
    kept: int  # of the entries up to there, those that stay in the ledger because they still matter
    archive: str  # the archive's file


class _Closing(LedgerUnwritable):
    """The ledger is being closed."""


class Keeping:
    """Belongs to the ledger's loop; looks at the files in a thread of its own, and writes through the committer."""

    def __init__(self, places: Places, store: Store, committer: Committer) -> None:
        self._places = places
        self._store = store
        self._committer = committer
        self._snapshots = store.snapshots()
        self._thread = ThreadPoolExecutor(1, "ledger-keeping")
        self._alone = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._stop = threading.Event()

    def due(self, seq: int) -> bool:
        """Whether it is time for a snapshot at this entry."""
        last = self._snapshots[-1].seq if self._snapshots else 0
        return seq - last >= EVERY and self._task is None and not self._alone.locked()

    def begin(self, seq: int, last: int, kept: list[int]) -> None:
        """Take a snapshot at the newest entry, in the background."""
        self._task = asyncio.get_running_loop().create_task(self._in_background(seq, last, kept))

    async def snapshot(self, seq: int, last: int, kept: list[int]) -> Snapshot:
        """Take a snapshot at an entry. Raises LedgerAltered, LedgerUnwritable."""
        async with self._alone:
            base = self._snapshots[-1] if self._snapshots else None
            looked, packed = await self._do(partial(self._survey, base, seq, kept))
            snapshot = _snapshot(seq, last, looked, packed, "")
            signed = await self._committer.do(lambda: self._store.keep(snapshot))
            self._snapshots = [*(each for each in self._snapshots if each.archive), signed]
            return signed

    async def compact(
        self, before: float, folder: Path, by: str, last: int, kept: Sequence[int], dry_run: bool
    ) -> Compaction:
        """See Ledger.compact; `kept` are all entries that still matter, `last` is the newest order."""
        async with self._alone:
            anchor = next((each for each in self._snapshots if each.archive), None)
            await self._sweep(anchor)  # what an interrupted compaction left
            first = anchor.seq + 1 if anchor else 1
            upto = await self._do(lambda: _last_before(self._places.database, first, before))
            if upto < first:
                return Compaction(upto=0, moved=0, kept=0, archive="")
            kept = [seq for seq in kept if seq <= upto]
            name = name_of(first, upto)
            told = Compaction(upto=upto, moved=upto - first + 1, kept=len(set(kept)), archive=str(folder / name))
            if not dry_run:
                looked, packed = await self._do(partial(self._archive, anchor, upto, kept, folder, first))
                await self._anchor(_snapshot(upto, min(last, upto), looked, packed, name), folder / name, by)
                await self._sweep(self._snapshots[0])
            return told

    async def close(self) -> None:
        """Give up what runs in the background."""
        self._stop.set()
        if self._task:
            await self._task
        self._thread.shutdown()

    async def _in_background(self, seq: int, last: int, kept: list[int]) -> None:
        try:
            await self.snapshot(seq, last, kept)
        except _Closing:
            pass
        except (LedgerAltered, LedgerUnwritable, OSError) as error:
            _FAILED.inc()
            log.error("no snapshot of the ledger", seq=seq, error=repr(error))
        finally:
            self._task = None

    async def _anchor(self, anchor: Snapshot, archive: Path, by: str) -> None:
        """From here on the ledger begins at the anchor; or what is archived is still its own, and the archive goes."""
        record = Compacted(upto=anchor.seq, hash=anchor.hash.hex(), archive=anchor.archive, by=by)
        try:
            await self._committer.append([record], cursors={})
            signed = await self._committer.do(lambda: self._store.keep(anchor))
        except LedgerUnwritable:
            await asyncio.to_thread(_discard, archive, self._places.database, anchor.seq)
            raise
        self._snapshots = [signed]

    async def _sweep(self, anchor: Snapshot | None) -> None:
        """Remove what an anchor does not keep, little by little between commits."""
        if anchor:
            kept, swept = frozenset(anchor.seqs()), 0
            while swept < anchor.seq:
                swept = await self._committer.do(partial(self._store.sweep, anchor, kept, swept, _SWEEP))

    async def _do(self, call: Callable[[], T]) -> T:
        with named_faults():
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _survey(self, base: Snapshot | None, upto: int, kept: Sequence[int]) -> tuple[Surveyed, bytes]:
        seqs = ordered(kept)
        return survey(self._places.database, base, upto, seqs, self._pause), pack(seqs)

    def _archive(
        self, base: Snapshot | None, upto: int, kept: Sequence[int], folder: Path, first: int
    ) -> tuple[Surveyed, bytes]:
        seqs, writer = ordered(kept), ArchiveWriter(folder, first, upto)
        try:
            looked = survey(self._places.database, base, upto, seqs, self._pause, writer.add)
            writer.finish(self._store.sign_head(upto, looked.hash))
        except BaseException:
            with suppress(OSError, sqlite3.Error):
                writer.discard()
            raise
        return looked, pack(seqs)

    def _pause(self) -> None:
        if self._stop.wait(_REST):
            raise _Closing("the ledger is being closed")


def _discard(archive: Path, database: Path, upto: int) -> None:
    """Remove an archive that no anchor ends; should that fail, it is in nobody's way."""
    with suppress(OSError, sqlite3.Error):
        if moved(database) < upto:
            archive.unlink()


def _snapshot(seq: int, last: int, looked: Surveyed, kept: bytes, archive: str) -> Snapshot:
    return Snapshot(seq=seq, hash=looked.hash, last=last, archive=archive, digest=looked.digest, kept=kept)


def _last_before(database: Path, first: int, time: float) -> int:
    """The last entry from `first` on that was written before a time; entries are in the order of their times."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as rows:
        (last,) = rows.execute("SELECT ifnull(max(seq), 0) FROM entries").fetchone()
        query = "SELECT time FROM entries WHERE seq = ?"
        places = range(first, last + 1)
        return first + bisect_left(places, time, key=lambda seq: float(rows.execute(query, (seq,)).fetchone()[0])) - 1
