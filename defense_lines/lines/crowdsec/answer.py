"""An answer of the stream, in pieces: the loop is free between two of them, and no more than one is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import msgspec

from defense_lines.lines.crowdsec.decision import Changes, Decision

PIECE = 250  # blocks or changes that are looked at for one piece
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """A bouncer deletes before it adds. Each piece is made when its turn comes, from what stands then."""

    deleted: Iterator[list[Decision]]
    new: Iterator[list[Decision]]

    def at_once(self) -> Changes:
        """All of it."""
        deleted, new = list(chain.from_iterable(self.deleted)), list(chain.from_iterable(self.new))
        return Changes(new=new or None, deleted=deleted or None)

    def pieces(self) -> Iterator[bytes]:
        """JSON; null is nothing."""
        yield b'{"deleted":'
        yield from _listed(self.deleted)
        yield b',"new":'
        yield from _listed(self.new)
        yield b"}"


def pieces(items: Sequence[T], tell: Callable[[T], Decision | None]) -> Iterator[list[Decision]]:
    """What there is to tell of each, for as many at once as make one piece."""
    for start in range(0, len(items), PIECE):
        yield [decision for item in items[start : start + PIECE] if (decision := tell(item))]


def _listed(pieces: Iterator[list[Decision]]) -> Iterator[bytes]:
    before = b"["
    for piece in pieces:
        if piece:
            yield before + msgspec.json.encode(piece)[1:-1]
            before = b","
        else:
            yield b""  # a turn for others
    yield b"null" if before == b"[" else b"]"
