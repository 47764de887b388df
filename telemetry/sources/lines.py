"""Bytes into lines into events, as they come: pieces of any size in, and a bound on what an unended line may hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import prometheus_client

from telemetry.event import Event, EventBatch, concatenate
from telemetry.malformed import MAX_LINE, Malformed, Parse, ParseMany
from telemetry.rejects import Rejects

_ALONE: Final = 16  # lines that are not tried together again
_IGNORED = prometheus_client.Counter(
    "portcullis_telemetry_ignored_total", "Records of a kind that is not read, and headers", ["source"]
)


class LineSplitter:
    """Holds the unended line between pieces. Of a line beyond the limit, two bytes more than the limit come out: even
    without a `\\r` at its end it is too long.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._held = bytearray()

    @property
    def held(self) -> int:
        """Bytes of the unended line, as they came; those beyond the limit are not counted."""
        return len(self._held)

    def feed(self, piece: bytes) -> bytes:
        """A block of the lines that this piece ends, each with its end."""
        first, last = piece.find(b"\n") + 1, piece.rfind(b"\n") + 1
        if not last:
            self._hold(piece)
            return b""
        start = 0
        if self._held:
            start = first - 1
            self._hold(piece[:start])
        block = b"".join((self._held, memoryview(piece)[start:last]))
        self._held.clear()
        self._hold(piece[last:])
        return block

    def end(self) -> bytes:
        """What is held, as a block of one line: the input ends here."""
        line = bytes(self._held)
        self._held.clear()
        return line + b"\n" if line else b""

    def _hold(self, part: bytes) -> None:
        self._held += part[: self._limit + 2 - len(self._held)]


@dataclass(frozen=True, slots=True)
class Harvest:
    """What came of some lines."""

    batch: EventBatch
    malformed: Sequence[tuple[Malformed, bytes]] = ()  # with the line
    ignored: int = 0

    def count(self, source: str, rejects: Rejects) -> None:
        """Count what did not become an event, and keep the malformed aside."""
        if self.ignored:
            _IGNORED.labels(source).inc(self.ignored)
        for malformed, line in self.malformed:
            rejects.add(source, malformed.reason, malformed.context.encode() + line)


def lines_of(block: bytes) -> list[bytes]:
    """The lines of a block without their ends; empty ones are left out."""
    return [line for line in block.replace(b"\r\n", b"\n").split(b"\n") if line]


def parse_lines(lines: Iterable[bytes], parse: Parse, source: str) -> Harvest:
    """Parse each line by itself."""
    events, malformed, ignored = list[Event](), list[tuple[Malformed, bytes]](), 0
    for line in lines:
        parsed = parse(line, source)
        if isinstance(parsed, Event):
            events.append(parsed)
        elif parsed is None:
            ignored += 1
        else:
            malformed.append((parsed, line))
    return Harvest(EventBatch.of(events), malformed, ignored)


def parse_block(block: bytes, parse: Parse, source: str) -> Harvest:
    """Parse a block of lines, all at once where the parser can, with what comes of each line by itself.

    What cannot be parsed at once is halved, so that one line costs the others little.
    """
    if not isinstance(parse, ParseMany):
        return parse_lines(lines_of(block), parse, source)
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    parts = list(_parse_parts(block, parse, source)) if block else []
    batches = [part.batch for part in parts if len(part.batch)]
    malformed = [one for part in parts for one in part.malformed]
    return Harvest(concatenate(batches), malformed, sum(part.ignored for part in parts))


def _parse_parts(block: bytes, parse: ParseMany, source: str) -> Iterator[Harvest]:
    together = None if _has_long(block) else parse.many(block, source)
    if together is not None:
        yield Harvest(together[0], (), together[1])
        return
    lines = [line for line in block.split(b"\n") if line]
    if len(lines) <= _ALONE:
        yield parse_lines(lines, parse, source)
        return
    for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
        yield from _parse_parts(b"\n".join([*half, b""]), parse, source)


def _has_long(block: bytes) -> bool:
    """Whether a line is beyond the limit: one that begins a stretch of that length in which none ends."""
    start = 0
    while len(block) - start > MAX_LINE:
        end = block.rfind(b"\n", start, start + MAX_LINE + 1)
        if end < 0:
            return True
        start = end + 1
    return False
