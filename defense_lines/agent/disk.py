"""The disk takes the journals of all agents of a process: one after another, soon after they were written to."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

import structlog
from prometheus_client import Counter

from defense_lines.agent.journal import Journal

SYNC_SECONDS: Final = 0.1  # from a record to asking the disk to have it

_log = structlog.get_logger()
_unsynced = Counter("portcullis_defense_lines_agent_journal_sync_failures_total", "Times that no disk took a journal")


class Disk:
    """Journals that are to be synced. Belongs to one event loop, and waits on a thread."""

    def __init__(self) -> None:
        self._written: set[Journal] = set()
        self._wake = asyncio.Event()

    def wrote(self, journal: Journal) -> None:
        """A record was handed to the system."""
        self._written.add(journal)
        self._wake.set()

    async def run(self) -> None:
        """Sync what was written, until cancelled. What fails is counted, and tried again."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(SYNC_SECONDS)
            self._wake.clear()
            written, self._written = self._written, set()
            for journal in await asyncio.to_thread(_synced, written):
                self.wrote(journal)


def _synced(journals: Collection[Journal]) -> list[Journal]:
    """Those that the disk did not take."""
    failed: list[Journal] = []
    for journal in journals:
        try:
            journal.sync()
        except OSError as error:
            _unsynced.inc()
            failed.append(journal)
            _log.error("the disk does not take the journal", path=str(journal.path), reason=str(error))
    return failed
