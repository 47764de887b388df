"""What arrived since the last checkpoint, as the worker took it in: read again when it comes back from its death."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog
from prometheus_client import Counter

_HEAD = struct.Struct(">IQI")  # lengths of an entry's index and of all of it, and its CRC-32
_END = bytes(_HEAD.size)
_NAME, _SPARE = "journal-{:08d}", "journal-spare"
_PIECE = 262_144  # bytes written at a time: a kernel takes six times as long for megabytes at once, to find them room

TORN = Counter("portcullis_detectors_journal_torn_total", "Journals whose end was torn off: what follows is not read")
_log = structlog.get_logger()


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Batches that were judged together."""

    stream: str  # whose numbers these are: a gateway's life
    number: int  # of the last of them
    now: float  # Unix seconds at which they were judged
    batches: list[bytes]  # EventBatch.to_bytes()


class _Index(msgspec.Struct, frozen=True, array_like=True):
    """What an entry begins with; its batches follow as they are, for a copy of megabytes has its price."""

    stream: str
    number: int
    now: float
    sizes: list[int]


class Journal:
    """Segments in a folder, numbered upwards. An appended entry outlives the process, not the machine: nothing is
    forced to the disk, for what a dead machine saw is not worth a disk's wait for each batch.

    A segment that is dropped becomes the next one, written over from its beginning: a kernel takes many times as long
    to find new pages as to write on those it has. Checksums begin with the segment's number, so that what an earlier
    segment left behind the end is never taken for an entry; a head of zeros is the end.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._encoder, self._decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Index)
        self.segment = max(self._segments(), default=0)
        self.size = 0  # bytes appended to this segment
        self._file = self._begin()

    def append(self, entry: Entry) -> None:
        """Raises OSError; what was written of the entry until then is not read again."""
        index = self._encoder.encode(_Index(entry.stream, entry.number, entry.now, list(map(len, entry.batches))))
        checksum = _checksum(self.segment, (index, *entry.batches))
        head = _HEAD.pack(len(index), len(index) + sum(map(len, entry.batches)), checksum)
        end = self.size
        for part in (head + index, *entry.batches, _END):
            end = self._write(memoryview(part), end)
        self.size = end - len(_END)

    def _write(self, part: memoryview, place: int) -> int:
        """Where it ends."""
        for start in range(0, len(part), _PIECE):
            piece = part[start : start + _PIECE]
            if os.pwrite(self._file, piece, place + start) < len(piece):
                raise OSError(f"{self._path(self.segment)}: not written as a whole")
        return place + len(part)

    def begin_segment(self) -> int:
        """Go on in a new segment; its number."""
        os.close(self._file)
        self._file = self._begin()
        return self.segment

    def entries(self, since: int) -> Iterator[Entry]:
        """What is in the segments from that number on, up to where each is whole."""
        for segment in sorted(number for number in self._segments() if since <= number < self.segment):
            with self._path(segment).open("rb") as stream:
                while (head := stream.read(_HEAD.size)) not in (b"", _END):
                    entry = self._entry(segment, head, stream)
                    if entry is None:
                        TORN.inc()
                        _log.warning("journal torn", segment=segment)
                        break
                    yield entry

    def drop_before(self, segment: int) -> None:
        """Forget older segments; keep one of them to write the next one over."""
        for number in self._segments():
            if number < segment:
                self._path(number).replace(self._folder / _SPARE)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _begin(self) -> int:
        self.segment, self.size = self.segment + 1, 0
        path = self._path(self.segment)
        with suppress(FileNotFoundError):
            (self._folder / _SPARE).rename(path)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(file, _END, 0)
        return file

    def _entry(self, segment: int, head: bytes, stream: BinaryIO) -> Entry | None:
        """The next one, None where it is not whole."""
        if len(head) < _HEAD.size:
            return None
        size, whole, checksum = _HEAD.unpack(head)
        if whole > os.fstat(stream.fileno()).st_size:
            return None
        body = stream.read(whole)
        if len(body) < whole or _checksum(segment, (body,)) != checksum:
            return None
        index, batches = self._decoder.decode(body[:size]), []
        for length in index.sizes:
            batches.append(body[size : size + length])
            size += length
        return Entry(index.stream, index.number, index.now, batches)

    def _segments(self) -> list[int]:
        return [int(path.name.rpartition("-")[2]) for path in self._folder.glob("journal-" + "[0-9]" * 8)]

    def _path(self, segment: int) -> Path:
        return self._folder / _NAME.format(segment)


def _checksum(segment: int, parts: Iterable[bytes]) -> int:
    checksum = segment
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return checksum
