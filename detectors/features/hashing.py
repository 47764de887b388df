"""Texts as numbers, without a Python statement for each: one polynomial hash over all bytes at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from telemetry import Words

MAX_BYTES = 512  # of one text; what follows does not change its hash
_MASK = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15
_POWERS = np.array([pow(_BASE, exponent, _MASK + 1) for exponent in range(1, MAX_BYTES + 1)], np.uint64)
Hashes = NDArray[np.uint64]


def hash_texts(texts: Sequence[str]) -> tuple[Hashes, Hashes]:
    """Two hashes a text: of all of it, and of its digits alone.

    The second is the resource's identifier: `/accounts/1001`, `/accounts/1001/statements` and
    `/streams/accounts/1001` are about the same account. A text without digits has its whole as identifier.
    """
    if not texts:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    parts = list(map(str.encode, texts, repeat("utf-8"), repeat("surrogatepass")))
    lengths = np.fromiter(map(len, parts), np.int64, len(parts)) + 1  # each ends with a byte, so that none is empty
    ends = np.cumsum(lengths)
    starts = ends - lengths
    letters = np.frombuffer(b"\n".join(parts) + b"\n", np.uint8)
    digit = (letters >= ord("0")) & (letters <= ord("9"))
    before = np.cumsum(digit, dtype=np.int64) - digit  # digits before each letter
    first = np.repeat(starts, lengths)
    values = letters.astype(np.uint64) + np.uint64(1)
    whole = _sum(values, np.arange(len(letters), dtype=np.int64) - first, starts)
    identifier = _sum(values * digit, before - before[first], starts)
    return _mix(whole), _mix(np.where(identifier == 0, whole, identifier))


def hash_rows(words: Words) -> tuple[Hashes, Hashes]:
    """Both hashes of each row's text. A table that is longer than the batch is read only where rows point."""
    if len(words.values) <= len(words.codes):
        whole, identifier = hash_texts(words.values)
        return whole[words.codes], identifier[words.codes]
    used, places = np.unique(words.codes, return_inverse=True)
    whole, identifier = hash_texts([words.values[code] for code in used])
    return whole[places], identifier[places]


def mix(numbers: NDArray[np.integer]) -> Hashes:
    """Hash integers, so that neighbours land far apart."""
    return _mix(numbers.astype(np.uint64) + np.uint64(1))


def _sum(values: Hashes, places: NDArray[np.int64], starts: NDArray[np.int64]) -> Hashes:
    counted = places < MAX_BYTES
    terms = values * _POWERS[np.minimum(places, MAX_BYTES - 1)] * counted
    return np.add.reduceat(terms, starts)


def _mix(hashes: Hashes) -> Hashes:
    """The finisher of MurmurHash3 (public domain): every bit depends on every other."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return hashes ^ (hashes >> np.uint64(33))
