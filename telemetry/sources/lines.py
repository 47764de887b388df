"""Bytes into lines into events, as they come: pieces of any size in, and a bound on what an unended line may hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import prometheus_client

from telemetry.event import Event
from telemetry.malformed import MAX_LINE, Malformed, Parse
from telemetry.rejects import Rejects

_IGNORED = prometheus_client.Counter(
    "portcullis_telemetry_ignored_total", "Records of a kind that is not read, and headers", ["source"]
)


class LineSplitter:
    """Holds the unended line between pieces. Of a line beyond the limit, one byte more than the limit comes out."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._held = bytearray()

    @property
    def held(self) -> int:
        """Bytes of the unended line, as they came; those beyond the limit are not counted."""
        return len(self._held)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that this piece ends, without their ends; empty lines are left out. Exhaust it."""
        *ended, rest = piece.split(b"\n")
        for part in ended:
            self._hold(part)
            yield from self.end()
        self._hold(rest)

    def end(self) -> Iterator[bytes]:
        """What is held, as a line: the input ends here."""
        line = bytes(self._held)
        self._held.clear()
        if len(line) <= self._limit:
            line = line.removesuffix(b"\r")
        if line:
            yield line

    def _hold(self, part: bytes) -> None:
        self._held += part[: self._limit + 1 - len(self._held)]


class Harvest(msgspec.Struct):
    """What came of some lines."""

    events: list[Event] = []
    malformed: list[tuple[Malformed, bytes]] = []  # with the line
    ignored: int = 0

    def count(self, source: str, rejects: Rejects) -> None:
        """Count what did not become an event, and keep the malformed aside."""
        if self.ignored:
            _IGNORED.labels(source).inc(self.ignored)
        for malformed, line in self.malformed:
            rejects.add(source, malformed.reason, line)


def parse_lines(lines: Iterable[bytes], parse: Parse, source: str) -> Harvest:
    """Parse each line."""
    harvest = Harvest()
    for line in lines:
        parsed = parse(line, source)
        if isinstance(parsed, Event):
            harvest.events.append(parsed)
        elif parsed is None:
            harvest.ignored += 1
        else:
            harvest.malformed.append((parsed, line))
    return harvest
