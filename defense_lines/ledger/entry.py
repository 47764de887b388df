"""An entry is a record with its place in the chain: each hash covers the entry and the hash before it."""

from __future__ import annotations

import hashlib
import struct

import msgspec

from defense_lines.ledger.record import Record

GENESIS = bytes(32)  # the hash before the first entry
_FRAME = struct.Struct(">32sQdH")


class Entry(msgspec.Struct, frozen=True):
    """One line of the history."""

    seq: int  # 1, 2, 3, … without gaps
    time: float  # Unix seconds when it was written
    record: Record
    hash: bytes  # SHA-256


def link(previous: bytes, seq: int, time: float, kind: bytes, body: bytes) -> bytes:
    """Hash of an entry: SHA-256 over the previous hash, seq, time (IEEE 754), length of kind, kind, body."""
    return hashlib.sha256(_FRAME.pack(previous, seq, time, len(kind)) + kind + body).digest()
