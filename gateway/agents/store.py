"""The agents' file: every change ever made, appended and never altered; the newest of an agent is what it is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.agents.agent import Agent
from gateway.agents.order import Verb

_SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (seq INTEGER PRIMARY KEY, agent TEXT NOT NULL, verb TEXT NOT NULL,
    time REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, record BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS changes_of_agent ON changes (agent, seq);
CREATE TRIGGER IF NOT EXISTS never_altered BEFORE UPDATE ON changes
    BEGIN SELECT RAISE(ABORT, 'changes are never altered'); END;
CREATE TRIGGER IF NOT EXISTS never_removed BEFORE DELETE ON changes
    BEGIN SELECT RAISE(ABORT, 'changes are never removed'); END;
"""
_NEWEST = "SELECT record FROM changes WHERE seq IN (SELECT max(seq) FROM changes GROUP BY agent)"
_INSERT = "INSERT INTO changes (agent, verb, time, who, why, record) VALUES (?, ?, ?, ?, ?, ?)"
_HISTORY = "SELECT verb, time, who, why FROM changes WHERE agent = ? ORDER BY seq DESC LIMIT ?"


class AgentsUnwritable(Exception):
    """The disk's: full, read-only or broken. What was ordered is not on record."""


class AgentsUnreadable(Exception):
    """Somebody's: the file is damaged, or was written by something else. No agent can be vouched for."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change of the registry: what was ordered, and the agent after it."""

    verb: Verb
    agent: Agent


class Store:
    """SQLite, WAL and synchronous FULL: what `append` returned from survives a crash. Used by one thread at a time."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it. Raises AgentsUnreadable, AgentsUnwritable, OSError."""
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._rows = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        try:
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute("PRAGMA synchronous = FULL")
            self._rows.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._rows.close()
            raise _fault(file, error) from error
        self._file = file

    def load(self) -> list[Agent]:
        """Every agent as it is now. Raises AgentsUnreadable."""
        try:
            return [msgspec.json.decode(record, type=Agent) for (record,) in self._rows.execute(_NEWEST)]
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise AgentsUnreadable(f"{self._file}: {error}") from error

    def append(self, changes: Sequence[Change]) -> None:
        """Put changes on record, all or none, durably. Raises AgentsUnwritable."""
        try:
            with self._rows:
                self._rows.execute("BEGIN IMMEDIATE")
                self._rows.executemany(_INSERT, map(_row, changes))
        except sqlite3.Error as error:
            raise AgentsUnwritable(str(error)) from error

    def history(self, name: str, limit: int) -> list[dict[str, object]]:
        """The newest changes of an agent, the newest first. Raises AgentsUnreadable."""
        try:
            rows = self._rows.execute(_HISTORY, (name, limit)).fetchall()
        except sqlite3.Error as error:
            raise AgentsUnreadable(f"{self._file}: {error}") from error
        return [dict(zip(("change", "time", "by", "reason"), row, strict=True)) for row in rows]

    def close(self) -> None:
        """Give the file back."""
        self._rows.close()


def _row(change: Change) -> tuple[str, str, float, str, str, bytes]:
    agent = change.agent
    return agent.id, change.verb, agent.changed, agent.by, agent.reason, msgspec.json.encode(agent)


def _fault(file: Path, error: sqlite3.Error) -> AgentsUnreadable | AgentsUnwritable:
    kind = AgentsUnwritable if isinstance(error, sqlite3.OperationalError) else AgentsUnreadable
    return kind(f"{file}: {error}")
