"""The chain is followed entry by entry: each must be the next one, and its hash must cover the one before it."""

from __future__ import annotations

from typing import Any

import msgspec

from defense_lines.ledger.entry import GENESIS, link


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    seq: int  # the entry, 0 where it is the file as a whole
    what: str  # in words


class Chain:
    """Follows entries after one place; remembers the hash at another."""

    def __init__(self, seq: int = 0, hash_: bytes = GENESIS, mark: int | None = None) -> None:
        """`mark` is the place whose hash is remembered as `marked`, None where no such entry was met."""
        self.seq, self.hash = seq, hash_
        self._mark = mark
        self.marked = hash_ if mark == seq else None

    def follow(self, row: tuple[Any, ...]) -> Finding | None:
        """Take the next entry: seq, time, kind, body, hash as they stand in the file, of whatever type."""
        seq, stored = row[0], row[4]
        expected, previous = self.seq + 1, self.hash
        self.seq, self.hash = seq, stored
        if seq == self._mark:
            self.marked = stored
        if seq != expected:
            gap = f"entries {expected} to {seq - 1} are missing" if seq > expected else "out of order"
            return Finding(expected, gap)
        try:
            intact = link(previous, *row[:4]) == stored
        except Exception:
            intact = False
        return None if intact else Finding(seq, "altered: its hash does not match its content and the entry before it")
