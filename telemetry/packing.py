"""Columns as bytes for another process: what is the same in every row once, and whole numbers no wider than they are.

A third less to copy, to send and to write down than the arrays themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from telemetry.texts import Texts
from telemetry.words import Words

Narrow = tuple[int, bytes]  # bytes a number, little-endian; 0 where each is 0


def pack_numbers(column: NDArray[Any]) -> bytes:
    """The numbers, or one of them if all are equal."""
    same = len(column) > 1 and column[0] == column[-1] and (column == column[0]).all()
    return (column[:1] if same else column).tobytes()


def unpack_numbers(data: bytes, kind: type[np.generic], rows: int) -> NDArray[Any]:
    """[rows], without a copy where they differ. Raises ValueError."""
    numbers = np.frombuffer(data, kind)
    return np.full(rows, numbers[0]) if len(numbers) == 1 else numbers


def pack_words(words: Words) -> tuple[Narrow, Narrow, bytes]:
    """Codes, lengths and letters. Raises ValueError where a text is half a surrogate pair, which UTF-8 has no bytes
    for.
    """
    words.values.check()
    return _pack(words.codes), _pack(words.values.lengths, 1), words.values.letters.tobytes()


def unpack_words(packed: Any, rows: int) -> Words:
    """[rows]. Raises ValueError, TypeError."""
    (width, codes), (width_of_lengths, lengths), letters = packed
    texts = Texts.of_lengths(letters, _unpack(width_of_lengths, lengths, 1))
    return Words(_unpack(width, codes, rows).astype(np.int32, copy=False), texts)


def _pack(numbers: NDArray[np.integer], least: int = 0) -> Narrow:
    """In the fewest bytes, `least` or more, that hold each; of what is below 0, to be refused, nothing is lost."""
    most = int(numbers.view(f"u{numbers.itemsize}").max(initial=0))
    width = max(least, 0 if not most else 1 if most < 1 << 8 else 2 if most < 1 << 16 else 4)
    return width, numbers.astype(f"<u{width}").tobytes() if width else b""


def _unpack(width: int, data: bytes, count: int) -> NDArray[np.integer]:
    """As many as there are; `count` of them where each is 0."""
    if width not in (0, 1, 2, 4):
        raise ValueError(f"numbers of {width} bytes")
    return np.frombuffer(data, f"<u{width}") if width else np.zeros(count, np.int32)
