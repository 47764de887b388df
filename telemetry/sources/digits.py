"""Numbers in cells, eight digits at a time: those written as plainly as sensors write them; others are pointed out."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from telemetry.hashing import Hashes
from telemetry.sources.cells import Cells, Mask

_WORD: Final = 8
_MOST: Final = 19  # digits that fit 64 bits
_LONGEST: Final = 18  # digits that always fit 63 bits
_MICROS: Final = 6  # digits of a fraction, as Zeek writes it
_EXACT: Final = 2**53  # up to here a float counts one by one
_ZEROS, _HIGH, _CARRY, _LOW = (np.uint64(int(byte * 8, 16)) for byte in ("30", "80", "46", "0f"))
_PAIRS: Final = np.uint64(0x000000FF000000FF)
_SCALE_HIGH: Final = np.uint64(100 + (1_000_000 << 32))
_SCALE_LOW: Final = np.uint64(1 + (10_000 << 32))

Integers = NDArray[np.int64]


def integers(cells: Cells) -> tuple[Integers, Mask]:
    """[n] numbers, and which of them count: of up to 18 digits, with no zero before others. Empty cells are 0."""
    numbers, plain = digits(cells)
    plain &= cells.lengths <= _LONGEST
    leading = cells.page.letters[np.minimum(cells.starts, len(cells.page.letters) - 1)] == ord("0")
    return numbers, plain & (~leading | (cells.lengths <= 1))


def decimals(cells: Cells) -> tuple[NDArray[np.float64], Mask]:
    """[n] numbers, and which of them count: with six digits after the point, and exact. Empty cells are 0."""
    whole = Cells(cells.page, cells.starts, np.maximum(cells.lengths - _MICROS - 1, 0))
    point = cells.starts + whole.lengths
    seconds, plain = integers(whole)
    micros, also = digits(Cells(cells.page, point + 1, np.where(whole.lengths > 0, _MICROS, 0)))
    dotted = cells.page.letters[np.minimum(point, len(cells.page.letters) - 1)] == ord(".")
    plain &= also & ((dotted & (whole.lengths > 0)) | (cells.lengths == 0)) & (seconds < _EXACT // 1_000_000)
    return (seconds * 1_000_000 + micros) / 1e6, plain


def digits(cells: Cells) -> tuple[Integers, Mask]:
    """[n] what up to 19 digits say, and which cells have nothing else. Empty ones are 0."""
    numbers, plain = np.zeros(len(cells), np.uint64), cells.lengths <= _MOST
    rows, factor = np.flatnonzero(plain), 1
    for after in range(0, _MOST, _WORD):  # digits that follow, already counted
        ahead = cells.lengths[rows] - after
        more = ahead > 0
        if not more.all():
            rows, ahead = rows[more], ahead[more]
        if not len(rows):
            break
        size = np.minimum(ahead, _WORD)
        word = cells.page.windows[cells.starts[rows] + ahead - size]
        shift = (8 * (_WORD - size)).astype(np.uint64)
        word = (word << shift) | (_ZEROS & ~(~np.uint64(0) << shift))
        plain[rows] &= ((word + _CARRY) | (word - _ZEROS)) & _HIGH == 0
        numbers[rows] += _number(word & _LOW) * np.uint64(factor)
        factor *= 10**_WORD
    return numbers.view(np.int64), plain


def _number(word: Hashes) -> Hashes:
    """Eight digits, each a byte (Daniel Lemire, "Quickly parsing eight digits")."""
    pairs = word * np.uint64(10) + (word >> np.uint64(8))
    return (((pairs & _PAIRS) * _SCALE_HIGH) + (((pairs >> np.uint64(16)) & _PAIRS) * _SCALE_LOW)) >> np.uint64(32)
