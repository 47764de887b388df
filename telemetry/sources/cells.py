"""Texts that are found and not read: where in a page of bytes each lies. A column is made of them with no str between,
and nothing here holds the interpreter's lock for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telemetry.hashing import Hashes, Letters, Offsets, code_letters
from telemetry.native import copy_texts
from telemetry.texts import Texts
from telemetry.words import Words

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

_WORD: Final = 8


class Page:
    """Bytes, also seen as the eight bytes from each place on."""

    __slots__ = ("letters", "windows")

    def __init__(self, padded: Letters) -> None:
        """Of bytes that eight more follow."""
        self.letters = padded[:-_WORD]
        self.windows: Hashes = np.ndarray((len(self.letters) + 1,), "<u8", padded, strides=(1,))

    @classmethod
    def of(cls, data: bytes) -> Page:
        """Of these bytes; zeros follow."""
        padded = np.zeros(len(data) + _WORD, np.uint8)
        padded[:-_WORD] = np.frombuffer(data, np.uint8)
        return cls(padded)

    def places(self, letter: str, other: str = "") -> Offsets:
        """Where this ASCII letter is, or the other one, in order."""
        found = self.letters == ord(letter)
        return np.flatnonzero(found | (self.letters == ord(other)) if other else found)


def begin(words: Hashes, text: bytes) -> Mask:
    """Which of these eight bytes begin with a text of up to eight."""
    mask = np.uint64((1 << 8 * len(text)) - 1)
    begun: Mask = words & mask == np.uint64(int.from_bytes(text, "little"))
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

    def or_else(self, other: Cells) -> Cells:
        """The other's where these are empty; both are of one page."""
        return Cells.where(self.lengths > 0, self, other)

    def words(self) -> Words:
        """As a column."""
        codes, firsts = code_letters(self.page.letters, self.starts, self.lengths)
        return Words(codes, self.take(firsts).texts())

    def texts(self) -> Texts:
        """Each by itself, equal ones too."""
        offsets = np.zeros(len(self) + 1, np.int64)
        np.cumsum(self.lengths, out=offsets[1:])
        return Texts(copy_texts(self.page.letters, self.starts, self.lengths), offsets)
