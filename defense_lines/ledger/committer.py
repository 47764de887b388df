"""The committer is the ledger's writing thread: whatever waits while one fsync runs shares the next."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter, Gauge, Histogram

from defense_lines.ledger.entry import Entry
from defense_lines.ledger.faults import LedgerUnwritable
from defense_lines.ledger.head import Head
from defense_lines.ledger.record import Record
from defense_lines.ledger.store import Result, Store

MAX_GROUP = 4096  # records in one commit
SLOW = 5.0  # seconds of one commit; from then on the disk counts as unwritable
MAX_WAITING = 100_000  # records; beyond it an append is refused as unwritable
_COMMIT = Histogram(
    "portcullis_defense_lines_ledger_commit_seconds",
    "One group commit, fsync included",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)
_RECORDS = Counter("portcullis_defense_lines_ledger_records_total", "Records made durable")
_UNWRITABLE = Counter("portcullis_defense_lines_ledger_unwritable_total", "Records not acknowledged: ledger unwritable")
_WRITABLE = Gauge("portcullis_defense_lines_ledger_writable", "1 if the last commit succeeded")
T = TypeVar("T")
log = structlog.get_logger()


@dataclass(slots=True)
class _Append:
    records: Sequence[Record]
    cursors: Mapping[str, int]
    done: asyncio.Future[list[Result]]


@dataclass(slots=True)
class _Work:
    call: Callable[[], Any]
    done: asyncio.Future[Any]


class Committer:
    """Owns the store. All methods but the thread's own belong to the loop; `committed` is called on the loop, once a
    group, before any append of it returns.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        committed: Callable[[list[Entry], Mapping[str, int], Head], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Append | _Work | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._failed = False  # these two are the thread's to set
        self._began: float | None = None  # monotonic seconds, while a commit runs
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def writable(self) -> bool:
        """Whether the last commit succeeded and none takes longer than SLOW now."""
        began = self._began
        return not (self._closed or self._failed or (began is not None and time.monotonic() - began > SLOW))

    async def append(self, records: Sequence[Record], cursors: Mapping[str, int]) -> list[Result]:
        """Returns when all are durable. Raises LedgerUnwritable."""
        if self._closed:
            raise LedgerUnwritable("the ledger is closed")
        if self._waiting + len(records) > MAX_WAITING:
            _UNWRITABLE.inc(len(records))
            raise LedgerUnwritable(f"{self._waiting} records wait for the disk")
        self._waiting += len(records)
        done: asyncio.Future[list[Result]] = self._loop.create_future()
        self._jobs.put(_Append(records, cursors, done))
        return await done

    async def do(self, call: Callable[[], T]) -> T:
        """Call something of the store's in its thread, after all appends so far. Raises LedgerUnwritable."""
        if self._closed:
            raise LedgerUnwritable("the ledger is closed")
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Work(call, done))
        return await done

    async def close(self) -> None:
        """Write what waits, then give the ledger back."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        following: deque[_Append | _Work | None] = deque()
        try:
            while (job := following.popleft() if following else self._jobs.get()) is not None:
                if isinstance(job, _Work):
                    self._work(job)
                else:
                    self._append(self._gather(job, following))
        finally:
            self._store.close()

    def _gather(self, first: _Append, following: deque[_Append | _Work | None]) -> list[_Append]:
        """All appends that wait; another sort of job ends the group and follows it."""
        group, size = [first], len(first.records)
        while size < MAX_GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if not isinstance(job, _Append):
                following.append(job)
                break
            group.append(job)
            size += len(job.records)
        return group

    def _append(self, group: list[_Append]) -> None:
        records = [record for job in group for record in job.records]
        cursors = {line: seq for job in group for line, seq in job.cursors.items()}
        self._began = started = time.monotonic()
        try:
            results = self._store.commit(records, cursors, self._clock())
            _COMMIT.observe(time.monotonic() - started)
            self._written(True)
            _RECORDS.inc(len(records))
            self._tell(self._finish, group, results, cursors, self._store.head)
        except LedgerUnwritable as error:
            self._written(False)
            _UNWRITABLE.inc(len(records))
            log.error("ledger unwritable, nothing acknowledged", records=len(records), error=str(error))
            self._tell(self._fail, group, error)
        except Exception as error:
            self._written(False)
            log.exception("ledger failed, nothing acknowledged", records=len(records))
            self._tell(self._fail, group, LedgerUnwritable(repr(error)))

    def _written(self, succeeded: bool) -> None:
        self._failed, self._began = not succeeded, None
        _WRITABLE.set(succeeded)

    def _work(self, job: _Work) -> None:
        try:
            self._tell(_set, job.done, job.call())
        except LedgerUnwritable as error:
            log.error("ledger unwritable", error=str(error))
            self._tell(_fault, job.done, error)
        except Exception as error:
            log.exception("ledger failed")
            self._tell(_fault, job.done, LedgerUnwritable(repr(error)))

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to tell
            self._loop.call_soon_threadsafe(call, *args)

    def _finish(self, group: list[_Append], results: list[Result], cursors: Mapping[str, int], head: Head) -> None:
        self._committed([result[0] for result in results if isinstance(result, tuple) and result[1]], cursors, head)
        at = 0
        for job in group:
            self._waiting -= len(job.records)
            _set(job.done, results[at : at + len(job.records)])
            at += len(job.records)

    def _fail(self, group: list[_Append], error: LedgerUnwritable) -> None:
        for job in group:
            self._waiting -= len(job.records)
            _fault(job.done, LedgerUnwritable(str(error)))


def _set(done: asyncio.Future[T], value: T) -> None:
    if not done.done():
        done.set_result(value)


def _fault(done: asyncio.Future[T], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
