"""The transmitter's own thread: all that touches the file, one after another; what waits shares one commit."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter

from gateway.signals.transmitter.store import News, Store, TransmitterUnwritable

_MOST_WAITING = 20_000  # jobs; beyond it the next one is refused as unwritable
_MOST_TOGETHER = 512  # jobs in one commit
_UNWRITABLE = Counter("portcullis_gateway_signals_unwritable_total", "Jobs of the transmitter that are not on record")
_log = structlog.get_logger()
T = TypeVar("T")
Job = Callable[[Store], T]


@dataclass(slots=True)
class _Ordered:
    job: Job[Any]
    done: asyncio.Future[Any]


class _Spoilt(Exception):
    """One job of several failed."""


class Writer:
    """Owns the store. All methods but the thread's own belong to the loop; `committed` is called on the loop with the
    news of each commit, before any of its jobs returns.
    """

    def __init__(self, store: Store, committed: Callable[[News], None]) -> None:
        self._store = store
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Ordered | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="signals", daemon=True)
        self._thread.start()

    def order(self, job: Job[T]) -> asyncio.Future[T]:
        """Do it soon. The future ends when what it did is durable, or with TransmitterUnwritable; nobody needs to look.

        Not cancelled with who waits for it if that one shields it, which `do` does.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        done.add_done_callback(_seen)
        if self._closed or self._waiting >= _MOST_WAITING:
            _UNWRITABLE.inc()
            why = "it is closed" if self._closed else f"{self._waiting} jobs wait for the disk"
            done.set_exception(TransmitterUnwritable(why))
            return done
        self._waiting += 1
        self._jobs.put(_Ordered(job, done))
        return done

    async def do(self, job: Job[T]) -> T:
        """Do it, and return what it returns once that is durable. Raises TransmitterUnwritable."""
        return await asyncio.shield(self.order(job))

    async def close(self) -> None:
        """Do what waits, then give the file back."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # what the thread has told last is heard

    def _run(self) -> None:
        try:
            while (first := self._jobs.get()) is not None:
                group, last = self._gather(first)
                self._commit(group)
                if last:
                    break
        finally:
            self._store.close()

    def _gather(self, first: _Ordered) -> tuple[list[_Ordered], bool]:
        group = [first]
        with contextlib.suppress(queue.Empty):
            while len(group) < _MOST_TOGETHER:
                following = self._jobs.get_nowait()
                if following is None:
                    return group, True
                group.append(following)
        return group, False

    def _commit(self, group: list[_Ordered]) -> None:
        """All in one transaction; where one of them fails, and not the disk, each in its own."""
        try:
            self._store.begin()
            results = _results(group, self._store)
            self._store.commit()
        except _Spoilt:
            self._undo()
            for ordered in group:
                self._commit([ordered])
        except Exception as error:
            self._undo()
            _log.error("signals not on record", jobs=len(group), error=repr(error))
            self._tell(self._fail, group, repr(error))
        else:
            self._tell(self._finish, group, results, self._store.news)

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._store.rollback()

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to tell
            self._loop.call_soon_threadsafe(call, *args)

    def _finish(self, group: list[_Ordered], results: list[Any], news: News) -> None:
        self._waiting -= len(group)
        self._committed(news)
        for ordered, result in zip(group, results, strict=True):
            if not ordered.done.done():
                ordered.done.set_result(result)

    def _fail(self, group: list[_Ordered], why: str) -> None:
        self._waiting -= len(group)
        _UNWRITABLE.inc(len(group))
        for ordered in group:
            if not ordered.done.done():
                ordered.done.set_exception(TransmitterUnwritable(why))


def _results(group: list[_Ordered], store: Store) -> list[Any]:
    try:
        return [ordered.job(store) for ordered in group]
    except Exception as error:
        if len(group) > 1:
            raise _Spoilt from error
        raise


def _seen(done: asyncio.Future[Any]) -> None:
    """A failure that nobody waits for is counted and logged already."""
    if not done.cancelled():
        done.exception()
