"""The outbox puts lines' answers on record, many in one commit, without holding up any line."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from prometheus_client import Counter

from defense_lines.ledger import Answer, InvalidRecord, Ledger, LedgerUnwritable

_ROOM = 100_000  # answers; beyond it the oldest is dropped and counted
_RETRY = 0.5  # seconds between attempts while the ledger is unwritable
_DROPPED = Counter("portcullis_defense_lines_answers_dropped_total", "Answers not put on record", ["why"])


class Outbox:
    """Answers on their way to the ledger. With each group goes how far the lines are: never further than the answers
    that are on record.
    """

    def __init__(self, ledger: Ledger, cursors: Callable[[], Mapping[str, int]]) -> None:
        self._ledger = ledger
        self._cursors = cursors
        self._answers: deque[Answer] = deque()
        self._something = asyncio.Event()
        self._nothing = asyncio.Event()
        self._nothing.set()

    def post(self, answer: Answer) -> None:
        """One more answer; never waits."""
        self._answers.append(answer)
        if len(self._answers) > _ROOM:
            self._answers.popleft()
            _DROPPED.labels("room").inc()
        self._nothing.clear()
        self._something.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._something.wait()
            self._something.clear()
            if not await self.flush():
                await asyncio.sleep(_RETRY)
                self._something.set()

    async def empty(self, deadline: float) -> None:
        """Wait until all answers are on record, `deadline` seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                await self._nothing.wait()

    async def flush(self) -> bool:
        """Put every waiting answer on record; whether that succeeded."""
        answers = list(self._answers)
        moved = {line: seq for line, seq in self._cursors().items() if seq > self._ledger.cursor(line)}
        try:
            if answers or moved:
                self._count(await self._ledger.append_all(answers, moved))
        except LedgerUnwritable:
            return False  # loud already; the answers keep their place
        for answer in answers:
            if self._answers and self._answers[0] is answer:
                self._answers.popleft()
        (self._something if self._answers else self._nothing).set()
        return True

    def _count(self, results: Sequence[object]) -> None:
        _DROPPED.labels("invalid").inc(sum(isinstance(result, InvalidRecord) for result in results))
