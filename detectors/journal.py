"""What arrived since the last checkpoint, as the worker took it in: read again when it comes back from its death."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog
from prometheus_client import Counter

_HEAD = struct.Struct(">II")  # length of an entry and its CRC-32
_NAME = "journal-{:08d}"
_PIECE = 262_144  # bytes written at a time: a kernel takes six times as long for megabytes at once, to find them room

TORN = Counter("portcullis_detectors_journal_torn_total", "Journals whose end was torn off: what follows is not read")
_log = structlog.get_logger()


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Batches that were judged together."""

    stream: str  # whose numbers these are: a gateway's life
    number: int  # of the last of them
    now: float  # Unix seconds at which they were judged
    batches: list[bytes]  # EventBatch.to_bytes()


class Journal:
    """Segments in a folder, numbered upwards. An appended entry outlives the process, not the machine: nothing is
    forced to the disk, for what a dead machine saw is not worth a disk's wait for each batch.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._encoder, self._decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Entry)
        self.segment = max(self._segments(), default=0)
        self.size = 0  # bytes appended to this segment
        self._file = self._begin()

    def append(self, entry: Entry) -> None:
        """Raises OSError; what was written of the entry until then is not read again."""
        body = self._encoder.encode(entry)
        head = _HEAD.pack(len(body), zlib.crc32(body))
        whole = memoryview(head + body)
        for start in range(0, len(whole), _PIECE):
            piece = whole[start : start + _PIECE]
            if os.write(self._file, piece) < len(piece):
                raise OSError(f"{self._path(self.segment)}: not written as a whole")
        self.size += len(whole)

    def begin_segment(self) -> int:
        """Go on in a new segment; its number."""
        os.close(self._file)
        self._file = self._begin()
        return self.segment

    def entries(self, since: int) -> Iterator[Entry]:
        """What is in the segments from that number on, up to where each is whole."""
        for segment in sorted(number for number in self._segments() if since <= number < self.segment):
            with self._path(segment).open("rb") as stream:
                while head := stream.read(_HEAD.size):
                    entry = self._entry(head, stream.read(_HEAD.unpack(head)[0]) if len(head) == _HEAD.size else b"")
                    if entry is None:
                        TORN.inc()
                        _log.warning("journal torn", segment=segment)
                        break
                    yield entry

    def drop_before(self, segment: int) -> None:
        """Forget older segments."""
        for number in self._segments():
            if number < segment:
                self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _begin(self) -> int:
        self.segment, self.size = self.segment + 1, 0
        return os.open(
            self._path(self.segment), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
        )

    def _entry(self, head: bytes, body: bytes) -> Entry | None:
        if len(head) < _HEAD.size or _HEAD.unpack(head) != (len(body), zlib.crc32(body)):
            return None
        return self._decoder.decode(body)

    def _segments(self) -> list[int]:
        return [int(path.name.rpartition("-")[2]) for path in self._folder.glob("journal-" + "[0-9]" * 8)]

    def _path(self, segment: int) -> Path:
        return self._folder / _NAME.format(segment)
