"""Texts that are found and not read: where in a page of bytes each lies. A column is made of them with no str between,
and nothing here holds the interpreter's lock for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telemetry.hashing import Hashes, Letters, Offsets, first_equal, hash_windows, masks, windows
from telemetry.texts import Texts
from telemetry.words import Words

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

_WORD: Final = 8
_SPARSE: Final = 4  # times as many bytes as there are letters may be looked at to gather them


class Page:
    """Bytes, also seen as the eight bytes from each place on."""

    __slots__ = ("letters", "windows")

    def __init__(self, data: bytes) -> None:
        self.letters: Letters = np.frombuffer(data, np.uint8)
        self.windows: Hashes = windows(self.letters)

    def places(self, letter: str, other: str = "") -> Offsets:
        """Where this ASCII letter is, or the other one, in order."""
        found = self.letters == ord(letter)
        return np.flatnonzero(found | (self.letters == ord(other)) if other else found)


def begin(words: Hashes, text: bytes) -> Mask:
    """Which of these eight bytes begin with a text of up to eight."""
    begun: Mask = words & masks(np.array(len(text))) == np.uint64(int.from_bytes(text, "little"))
    return begun


class Cells:
    """Row i's text is the `lengths[i]` bytes from `starts[i]` on, valid UTF-8."""

    __slots__ = ("lengths", "page", "starts")

    def __init__(self, page: Page, starts: Offsets, lengths: Offsets) -> None:
        self.page = page
        self.starts = starts
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def empty(cls, page: Page, count: int) -> Cells:
        """So many that say nothing."""
        return cls(page, np.zeros(count, np.int64), np.zeros(count, np.int64))

    def put(self, rows: Rows, cells: Cells) -> None:
        """These say what those do; all are of one page."""
        self.starts[rows], self.lengths[rows] = cells.starts, cells.lengths

    @staticmethod
    def join(parts: Sequence[Cells]) -> Cells:
        """One after another; all are of one page."""
        starts, lengths = (np.concatenate([getattr(part, name) for part in parts]) for name in ("starts", "lengths"))
        return Cells(parts[0].page, starts, lengths)

    @staticmethod
    def where(mask: Mask, these: Cells, others: Cells) -> Cells:
        """These in the rows of the mask, the others elsewhere; all are of one page."""
        starts, lengths = np.where(mask, these.starts, others.starts), np.where(mask, these.lengths, others.lengths)
        return Cells(these.page, starts, lengths)

    def take(self, rows: Rows | Mask) -> Cells:
        """Those of these rows."""
        return Cells(self.page, self.starts[rows], self.lengths[rows])

    def say(self, text: str) -> Mask:
        """Which say exactly this."""
        wanted = text.encode()
        said: Mask = self.lengths == len(wanted)
        for at in range(0, len(wanted), _WORD):
            rows = np.flatnonzero(said)
            said[rows] = begin(self.page.windows[self.starts[rows] + at], wanted[at : at + _WORD])
        return said

    def without(self, texts: Sequence[str]) -> Cells:
        """Empty where they say one of these."""
        lengths = self.lengths
        for text in texts:
            lengths = np.where(self.say(text), 0, lengths)
        return Cells(self.page, self.starts, lengths)

    def before(self, letter: str) -> Cells:
        """Each up to the first such ASCII letter that it has."""
        places = np.append(self.page.places(letter), len(self.page.letters))
        if len(places) == 1:
            return self
        ahead = places[np.searchsorted(places, self.starts)] - self.starts
        return Cells(self.page, self.starts, np.minimum(self.lengths, ahead))

    def or_else(self, other: Cells) -> Cells:
        """The other's where these are empty; both are of one page."""
        return Cells.where(self.lengths > 0, self, other)

    def words(self) -> Words:
        """As a column."""
        hashes = hash_windows(self.page.windows, self.starts, self.lengths)
        first = first_equal(self.page.windows, self.starts, self.lengths, hashes)
        chosen = first == np.arange(len(first))
        codes = (np.cumsum(chosen, dtype=np.int32) - 1)[first]
        return Words(codes.astype(np.int32), self.take(chosen).texts())

    def texts(self) -> Texts:
        """Each by itself, equal ones too."""
        offsets = np.zeros(len(self) + 1, np.int64)
        np.cumsum(self.lengths, out=offsets[1:])
        return Texts(self._letters(offsets), offsets)

    def _letters(self, offsets: Offsets) -> Letters:
        """All letters in one buffer: gathered in words of eight where the cells are about as long as each other."""
        longest = int(self.lengths.max(initial=0))
        width = -(-longest // _WORD) * _WORD
        if width * len(self) > _SPARSE * (int(offsets[-1]) + _WORD * len(self)):
            moved = np.repeat(self.starts - offsets[:-1], self.lengths)
            return self.page.letters.take(np.arange(offsets[-1]) + moved)
        found = np.empty((len(self), width // _WORD), np.uint64)
        last = len(self.page.windows) - 1
        for column, at in enumerate(range(0, width, _WORD)):
            found[:, column] = self.page.windows[np.minimum(self.starts + at, last)]
        letters: Letters = found.view(np.uint8).reshape(len(self), width)[np.arange(width) < self.lengths[:, None]]
        return letters
