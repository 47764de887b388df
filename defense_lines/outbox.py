"""The outbox puts lines' answers on record, many in one commit, without holding up any line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice

from prometheus_client import Counter

from defense_lines.ledger import Answered, Answers, Batch, InvalidRecord, Ledger, LedgerUnwritable, Noted

_ROOM = 500_000  # answers; beyond it further ones are dropped and counted
_ROWS = 300  # answers in one record, which has a limit of its own
_GATHER = 0.2  # seconds in which answers gather: nobody waits for them, and lines that are being told wait for us
_RETRY = 0.5  # seconds between attempts while the ledger is unwritable
_DROPPED = Counter("portcullis_defense_lines_answers_dropped_total", "Answers not put on record", ["why"])
_Carried = tuple[int, int, str]  # after, up to, the head that was echoed


class Outbox:
    """Answers on their way to the ledger. With each group goes how far the lines are: never further than the answers
    that are on record.
    """

    def __init__(self, ledger: Ledger, cursor: Callable[[str], int]) -> None:
        """`cursor` tells how far a line is."""
        self._ledger = ledger
        self._cursor = cursor
        self._batches: dict[_Carried, list[Answered]] = {}
        self._notes: list[Noted] = []
        self._moved: set[str] = set()
        self._size = 0
        self._something = asyncio.Event()
        self._nothing = asyncio.Event()
        self._nothing.set()

    def carried(self, after: int, upto: int, head: str, answered: Answered) -> None:
        """A line carried out what lies between two entries; never waits."""
        if self._room():
            self._batches.setdefault((after, upto, head), []).append(answered)
        self._moved.add(answered.line)

    def noted(self, notes: Iterable[Noted]) -> None:
        """What there is to say beyond that; never waits."""
        for note in notes:
            if self._room():
                self._notes.append(note)
            self._moved.add(note.line)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._something.wait()
            await asyncio.sleep(_GATHER)
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
        batches, notes, moved, size = self._batches, self._notes, self._moved, self._size
        self._batches, self._notes, self._moved, self._size = {}, [], set(), 0
        try:
            if size or moved:
                results = await self._ledger.append_all(list(_records(batches, notes)), self._cursors(moved))
                _DROPPED.labels("invalid").inc(sum(isinstance(result, InvalidRecord) for result in results))
        except LedgerUnwritable:  # loud already; the answers keep their place
            self._put_back(batches, notes, moved, size)
            return False
        if not self._size:
            self._nothing.set()
        return True

    def _room(self) -> bool:
        self._nothing.clear()
        self._something.set()
        if self._size >= _ROOM:
            _DROPPED.labels("room").inc()
            return False
        self._size += 1
        return True

    def _cursors(self, moved: Iterable[str]) -> Mapping[str, int]:
        cursors = {name: self._cursor(name) for name in moved}
        return {name: seq for name, seq in cursors.items() if seq != self._ledger.cursor(name)}

    def _put_back(
        self, batches: dict[_Carried, list[Answered]], notes: list[Noted], moved: set[str], size: int
    ) -> None:
        for key, answered in self._batches.items():
            batches.setdefault(key, []).extend(answered)
        self._batches, self._notes = batches, notes + self._notes
        self._moved |= moved
        self._size += size


def _records(batches: Mapping[_Carried, list[Answered]], notes: list[Noted]) -> Iterator[Answers]:
    """Notes first: a batch says nothing of what a note says."""
    rest = iter(notes)
    while some := tuple(islice(rest, _ROWS)):
        yield Answers(notes=some)
    room, together = _ROWS, list[Batch]()
    for (after, upto, head), answered in batches.items():
        for start in range(0, len(answered), _ROWS):
            rows = tuple(answered[start : start + _ROWS])
            if len(rows) > room:
                yield Answers(batches=tuple(together))
                room, together = _ROWS, []
            together.append(Batch(after=after, upto=upto, head=head, by=rows))
            room -= len(rows) + 3  # a batch's own fields
    if together:
        yield Answers(batches=tuple(together))
