"""Texts as numbers, without a Python statement for each.

On the host, whatever computes the features: bytes are ragged, a table's distinct texts are few beside the rows, and
what a device needs of them is one number each, eight bytes for sixteen. Rows are gathered where the features are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from telemetry import Hashes, Texts, Words, hash_letters, mix

__all__ = ["KEY", "Hashes", "hash_rows", "hash_texts", "hash_whole", "mix"]

KEY = 0  # of training; who judges texts that others choose draws a key and keeps it with its state
_FEW = 4  # rows are few if the table has more than so many times their texts


def hash_whole(texts: Sequence[str], key: int) -> Hashes:
    """[n] a hash of each text."""
    return _table(texts).hashed(key)


def hash_rows(words: Words, rows: NDArray[np.integer], key: int) -> Hashes:
    """[rows] of some rows' texts. Where they are few beside the table, its others are not read."""
    codes, texts = words.codes[rows], words.values
    if len(codes) * _FEW < len(texts):
        return hash_letters(texts.letters, texts.offsets[:-1][codes], texts.lengths[codes], key)
    hashes: Hashes = texts.hashed(key)[codes]
    return hashes


def hash_texts(texts: Sequence[str], key: int = KEY) -> tuple[Hashes, Hashes]:
    """Two hashes a text, [n] each: of all of it, and of its digits alone; under a key of 64 bits.

    The second is the resource's identifier: `/accounts/1001`, `/accounts/1001/statements` and
    `/streams/accounts/1001` are about the same account. A text without digits has its whole as identifier.
    """
    table = _table(texts)
    whole = table.hashed(key)
    digit = (table.letters - np.uint8(ord("0"))) < 10  # below "0" the difference wraps around
    before = np.zeros(len(digit) + 1, np.int32)  # digits before each letter
    np.cumsum(digit.astype(np.int32), out=before[1:])
    ends = before[table.offsets].astype(np.int64)
    counts = np.diff(ends)
    some = np.flatnonzero(counts)
    identifier = whole.copy()
    identifier[some] = hash_letters(table.letters[digit], ends[some], counts[some], key)
    return whole, identifier


def _table(texts: Sequence[str]) -> Texts:
    return texts if isinstance(texts, Texts) else Texts.of(texts)
