"""The journal is what an agent was told, on its own disk: the messages as they came, each with the time that it came.

A record is eight bytes, its length and its CRC-32, and then itself. It is handed to the system before its message is
acknowledged, so that it outlives the process; and it is synced to the disk soon after, so that a loss of power costs at
most what came meanwhile: the place in the ledger up to which the agent was told is lost with it, so that it is told
again.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import structlog
from prometheus_client import Counter

_HEADER: Final = struct.Struct("<II")  # length, CRC-32
_STAMP: Final = struct.Struct("<dd")  # seconds since this boot, Unix seconds by this host's clock
_MAGIC: Final = b"portcullis line journal 1\n"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_LARGEST: Final = 16 * 1024 * 1024  # bytes of a record; a longer one is damage

_log = structlog.get_logger()
_damaged = Counter("portcullis_defense_lines_agent_journal_damaged_total", "Journals put aside: the agent began anew")
_torn = Counter("portcullis_defense_lines_agent_journal_torn_total", "Journals whose last record was cut off")


class Told(NamedTuple):
    """One message that came."""

    message: bytes
    boottime: float | None  # seconds since the boot that this host still has; None if it came before that
    wall: float  # Unix seconds by this host's clock


class JournalDamaged(Exception):
    """A record that is not the last is not what was written; in words, where."""


class Journal:
    """One file, of one agent. Opened with `Journal.open`."""

    def __init__(self, path: Path, ledger: str, size: int) -> None:
        self.path = path
        self.ledger = ledger  # whose orders are in it; "" while it is nobody's
        self.size = size  # bytes
        self.is_synced = False  # whether the disk has everything
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._changing = threading.Lock()  # the file that `sync` waits for

    @classmethod
    def open(cls, path: Path) -> tuple[Self, list[Told]]:
        """The journal of a path, made if there is none, and what is in it. One that is damaged is put aside, loudly,
        and begun anew: the gateway tells everything again. Raises OSError.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            ledger, told, size = _read(path)
        except JournalDamaged as error:
            aside = path.with_suffix(".damaged")
            _damaged.inc()
            _log.error("journal damaged: begun anew", path=str(path), kept=str(aside), reason=str(error))
            path.replace(aside)
            ledger, told, size = "", [], 0
        except FileNotFoundError:
            ledger, told, size = "", [], 0
        if not size:
            _write(path, [_head("")])
        else:
            os.truncate(path, size)
        journal = cls(path, ledger, path.stat().st_size)
        if size:
            journal._append(_head(ledger))
        return journal, told

    def append(self, message: bytes, boottime: float, wall: float) -> None:
        """Write one message down. Raises OSError; then nothing of it is there."""
        self._append(b"T" + _STAMP.pack(boottime, wall) + message)

    def rewrite(self, ledger: str, messages: Sequence[bytes], boottime: float, wall: float) -> None:
        """Have nothing but these in it, whatever happens meanwhile. Raises OSError."""
        stamp = b"T" + _STAMP.pack(boottime, wall)
        _write(self.path, [_head(ledger), *(stamp + message for message in messages)])
        with self._changing:
            os.close(self._file)
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.ledger, self.size = ledger, os.fstat(self._file).st_size

    def sync(self) -> None:
        """Wait until the disk has what was written before. For a thread of its own. Raises OSError."""
        self.is_synced = True
        with self._changing:
            file = os.dup(self._file)
        try:
            os.fdatasync(file)
        except OSError:
            self.is_synced = False
            raise
        finally:
            os.close(file)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

    def _append(self, record: bytes) -> None:
        data = _framed(record)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("journal: the disk took part of a record")
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(data)
        self.is_synced = False


def boot() -> str:
    """Names this boot of the host."""
    return _BOOT.read_text().strip()


def _head(ledger: str) -> bytes:
    return b"H" + _MAGIC + f"{boot()} {ledger}".encode()


def _framed(record: bytes) -> bytes:
    return _HEADER.pack(len(record), zlib.crc32(record)) + record


def _write(path: Path, records: Sequence[bytes]) -> None:
    """Put a whole file in the place of another, durably."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.writelines(map(_framed, records))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> tuple[str, list[Told], int]:
    """Ledger, messages, and up to where the file holds them. Raises OSError, JournalDamaged."""
    data = path.read_bytes()
    ledger, same_boot, size = "", False, 0
    told: list[Told] = []
    for record, end in _records(data):
        if record.startswith(b"H" + _MAGIC):
            written, _, ledger = record[1 + len(_MAGIC) :].decode(errors="replace").partition(" ")
            same_boot = written == boot()
        elif record.startswith(b"T") and size and len(record) > _STAMP.size:
            boottime, wall = _STAMP.unpack_from(record, 1)
            told.append(Told(record[1 + _STAMP.size :], boottime if same_boot else None, wall))
        else:
            raise JournalDamaged(f"what stands before byte {end} is no record of ours")
        size = end
    if size < len(data):
        _torn.inc()
        _log.warning("the journal's last record was cut off: it will be told again", path=str(path))
    return ledger, told, size


def _records(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Each record and where it ends, up to a last one that is torn. Raises JournalDamaged."""
    start = 0
    while start < len(data):
        end = len(data)
        if end - start >= _HEADER.size:
            length, checksum = _HEADER.unpack_from(data, start)
            end = start + _HEADER.size + length
            record = data[start + _HEADER.size : end]
            if 0 < length <= _LARGEST and end <= len(data) and zlib.crc32(record) == checksum:
                yield record, end
                start = end
                continue
        if end - start > _LARGEST or (end < len(data) and any(data[start:])):
            raise JournalDamaged(f"at byte {start}")
        return
