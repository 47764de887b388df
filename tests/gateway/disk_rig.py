"""A ledger's disk that fills up, or stops, on demand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from defense_lines import LedgerUnwritable
from defense_lines.ledger import store
from defense_lines.ledger.record import kind_of


class Disk:
    """Each commit, by the kinds of its records. On demand it is full, or full for a commit of certain kinds, or stops
    at a commit that has a kind.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits: list[list[str]] = []
        self.refused: list[list[str]] = []
        self.full = False
        self.full_for: list[str] = []
        self.stops_at = ""
        self.stopped = threading.Event()
        self.goes_on = threading.Event()
        self._commit = store.Store.commit
        disk = self

        def commit(self: store.Store, records: Sequence[Any], *rest: Any) -> Any:
            return disk.commit(self, records, *rest)

        monkeypatch.setattr(store.Store, "commit", commit)

    def commit(self, own: store.Store, records: Sequence[Any], *rest: Any) -> Any:
        kinds = [kind_of(record) for record in records]
        if self.stops_at in kinds:
            self.stopped.set()
            assert self.goes_on.wait(5)
        if kinds and (self.full or kinds == self.full_for):
            self.refused.append(kinds)
            raise LedgerUnwritable("no space left")
        self.commits.append(kinds)
        return self._commit(own, records, *rest)
