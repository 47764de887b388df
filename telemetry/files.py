"""Files for `events import`: the format is found by looking, the content read as batches, what was wrong counted."""

from __future__ import annotations

import gzip
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from math import inf
from pathlib import Path
from typing import BinaryIO, cast

from telemetry.event import Event, EventBatch
from telemetry.formats import Format, format_of_line, parser
from telemetry.malformed import MAX_LINE, Malformed
from telemetry.rejects import Rejects
from telemetry.sources.lines import Harvest, LineSplitter, parse_block
from telemetry.sources.pcap import read_pcap

_GZIP = b"\x1f\x8b"
_PCAP = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a")
_BAD_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
_PIECE = 4 * 1024 * 1024  # bytes read at a time
_UNFOLDED = 2 * 1024 * 1024  # the same of a gzip, which may unfold to anything
_OF_SEVERAL = ("events", "rejects")  # each line tells what it came from
_LOOKED_AT = 20  # first lines that may tell the format
_BATCH = 4096  # events of a batch made of a capture


class UnknownFormat(ValueError):
    """The file is none of the formats that can be read; the caller's fault."""


class FileReading:
    """A file being read: iterate it for batches, then look at the counts. Blocks on the disk."""

    def __init__(self, path: Path, found: Format, source: str, rejects: Rejects | None) -> None:
        self.path = path
        self.format = found
        self.source = source
        self.accepted = 0
        self.ignored = 0
        self.malformed: Counter[str] = Counter()  # by reason
        self._rejects = rejects

    def __iter__(self) -> Iterator[EventBatch]:
        with _open(self.path) as stream:
            harvests = _capture(stream, self.source) if self.format == "pcap" else self._lines(stream)
            for harvest in harvests:
                yield from self._batch(harvest)

    def _lines(self, stream: BinaryIO) -> Iterator[Harvest]:
        parse, lines = parser(self.format), LineSplitter()
        try:
            for piece in _pieces(stream):
                yield parse_block(lines.feed(piece), parse, self.source)
        except _BAD_GZIP as error:
            yield Harvest(EventBatch.of(()), [(Malformed("cut_off", str(error)), lines.end())])
        yield parse_block(lines.end(), parse, self.source)

    def _batch(self, harvest: Harvest) -> Iterator[EventBatch]:
        self.accepted += len(harvest.batch)
        self.ignored += harvest.ignored
        self.malformed.update(malformed.reason for malformed, _ in harvest.malformed)
        if self._rejects:
            harvest.count(self.source or str(self.path), self._rejects)
        if len(harvest.batch):
            yield harvest.batch


def read_file(path: Path, source: str = "", rejects: Rejects | None = None) -> FileReading:
    """Look at the file, gzipped or not, and make ready to read it.

    `source` names what it came from; empty means `FORMAT:FILE NAME`, except for our own events and rejects, which
    keep theirs.
    Raises UnknownFormat, OSError.
    """
    try:
        with _open(path) as stream:
            found = _format(stream.read(MAX_LINE))
    except _BAD_GZIP as error:
        raise UnknownFormat(f"{path}: {error}") from error
    if found is None:
        raise UnknownFormat(
            f"{path}: not EVE, Zeek, JSON lines, endpoint or Windows events, nor rejects or a packet capture"
        )
    return FileReading(path, found, source or ("" if found in _OF_SEVERAL else f"{found}:{path.name}"), rejects)


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        zipped = stream.read(2) == _GZIP
    return cast(BinaryIO, gzip.open(path)) if zipped else path.open("rb")


def _format(head: bytes) -> Format | None:
    if head.startswith(_PCAP):
        return "pcap"
    found = (format_of_line(line.strip()) for line in head.split(b"\n", _LOOKED_AT)[:_LOOKED_AT])
    return next((format_ for format_ in found if format_), None)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """What the file holds now: our own rejects may be read while what is refused again goes to their end."""
    zipped = isinstance(stream, gzip.GzipFile)
    left, most = (inf, _UNFOLDED) if zipped else (os.fstat(stream.fileno()).st_size, _PIECE)
    while left > 0 and (piece := stream.read(int(min(most, left)))):
        left -= len(piece)
        yield piece


def _capture(stream: BinaryIO, source: str) -> Iterator[Harvest]:
    found = read_pcap(stream, source)
    while some := list(islice(found, _BATCH)):
        events = [one for one in some if isinstance(one, Event)]
        malformed = [(one, one.detail.encode()) for one in some if isinstance(one, Malformed)]
        yield Harvest(EventBatch.of(events), malformed)
