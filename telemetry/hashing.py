"""Texts as 64-bit numbers, eight bytes of all of them at a time.

Not a cryptographic hash. Its multipliers are secret, and two of them lie between one word of a text and the next: a
difference in a word's highest bit, which any one odd multiplier leaves where it is (Aumasson and Bernstein's
collisions of MurmurHash3 for every seed), is spread by the second one in a way that nobody can tell without the key.
Texts of one length that differ within one word of eight bytes never have the same hash.
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Letters = NDArray[np.uint8]
Offsets = NDArray[np.int64]

MAX_BYTES: Final = 512  # of one text; what follows does not change its hash
PROCESS_KEY: Final = secrets.randbits(64)  # for what does not outlive the process
_WORD: Final = 8
_CHUNK: Final = 16_384  # texts at a time: what is held of them fits a core's own cache
_MASKS: Final = np.array([(1 << (8 * size)) - 1 for size in range(_WORD + 1)], np.uint64)  # of a word's first bytes


class _Secrets(NamedTuple):
    start: np.uint64
    length: np.uint64
    first: np.uint64
    second: np.uint64


def hash_letters(letters: Letters, starts: Offsets, lengths: Offsets, key: int = PROCESS_KEY) -> Hashes:
    """[n] hashes of the texts that lie at `starts` in the letters, `lengths` bytes each, under a key of 64 bits."""
    return hash_windows(windows(letters), starts, lengths, key)


def hash_windows(words: Hashes, starts: Offsets, lengths: Offsets, key: int = PROCESS_KEY) -> Hashes:
    """The same of letters that are seen through `windows` already."""
    hashes, numbers = np.empty(len(starts), np.uint64), _secrets(key)
    for at in range(0, len(starts), _CHUNK):
        part = slice(at, at + _CHUNK)
        hashes[part] = _hash(words, starts[part], np.minimum(lengths[part], MAX_BYTES), numbers)
    return hashes


def windows(letters: Letters) -> Hashes:
    """The eight bytes from each place on, as numbers, without a copy of each; beyond the end they are zeros."""
    padded = np.concatenate([letters, np.zeros(_WORD, np.uint8)])
    return np.ndarray((len(letters) + 1,), "<u8", padded, strides=(1,))


def masks(left: Offsets) -> Hashes:
    """What belongs to a text of a word, where so many bytes of it are left."""
    return _MASKS[np.minimum(left, _WORD)]


def mix(numbers: NDArray[np.integer]) -> Hashes:
    """Spread numbers so that neighbours land far apart: the finisher of MurmurHash3 (public domain)."""
    hashes = numbers.astype(np.uint64)
    for factor in (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)):
        hashes ^= hashes >> np.uint64(33)
        hashes *= factor
    hashes ^= hashes >> np.uint64(33)
    return hashes


def first_of(hashes: Hashes) -> Offsets:
    """[n] for each hash the place of the first that is equal to it: a hash table, filled all at once."""
    first, left = np.empty(len(hashes), np.int64), np.arange(len(hashes))
    bits = max(len(hashes), 1).bit_length() + 1
    table = np.empty(1 << bits, np.int64)
    while len(left):  # equal ones share a slot; of those that meet another there the next round is
        slots = (hashes[left] >> np.uint64(64 - bits)).astype(np.int64)
        table[slots[::-1]] = left[::-1]
        found = table[slots]
        same = hashes[found] == hashes[left]
        first[left[same]] = found[same]
        left = left[~same]
        hashes = hashes if not len(left) else hashes * _NEXT
    return first


def first_equal(words: Hashes, starts: Offsets, lengths: Offsets, hashes: Hashes) -> Offsets:
    """[n] for each text the place of the first that is equal to it. Equal texts stay apart where they are longer than
    what is hashed, or the hashes of two others are equal.
    """
    first = first_of(hashes)
    again = np.flatnonzero(first != np.arange(len(first)))
    other = again[~_same(words, starts, lengths, again, first[again])]
    first[other] = other
    return first


def _same(words: Hashes, starts: Offsets, lengths: Offsets, these: Offsets, those: Offsets) -> NDArray[np.bool_]:
    """Which texts are really equal to those beside them, compared eight bytes at a time."""
    same: NDArray[np.bool_] = lengths[these] == lengths[those]
    left = np.flatnonzero(same)
    for at in range(0, int(lengths[these].max(initial=0)), _WORD):
        left = left[lengths[these[left]] > at]
        here, there = (words[starts[some[left]] + at] for some in (these, those))
        differs = ((here ^ there) & masks(lengths[these[left]] - at)) != 0
        same[left[differs]] = False
        left = left[~differs]
    return same


_NEXT: Final = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying by it keeps different hashes different


def _hash(words: Hashes, starts: Offsets, lengths: Offsets, numbers: _Secrets) -> Hashes:
    state = lengths.view(np.uint64) * numbers.length
    state ^= numbers.start
    shortest, longest = int(lengths.min()), int(lengths.max())
    for at in range(0, shortest, _WORD):  # of every text
        word = words[starts + at]
        if at + _WORD > shortest:
            word &= masks(lengths - at)
        _mix_in(state, word, numbers)
    longer = np.arange(len(lengths))
    for at in range(-(-shortest // _WORD) * _WORD, longest, _WORD):  # of those that have more
        longer = longer[lengths[longer] > at]
        some = state[longer]
        _mix_in(some, words[starts[longer] + at] & masks(lengths[longer] - at), numbers)
        state[longer] = some
    return mix(state)


def _mix_in(state: Hashes, word: Hashes, numbers: _Secrets) -> None:
    state ^= word
    state *= numbers.first
    word = state >> np.uint64(32)
    state ^= word
    state *= numbers.second
    np.right_shift(state, np.uint64(29), out=word)
    state ^= word


@lru_cache(16)
def _secrets(key: int) -> _Secrets:
    """The key, stretched by SplitMix64 (Steele, Lea and Flood 2014); multipliers are odd."""
    start, length, first, second = mix(np.array([key + n * int(_NEXT) & (1 << 64) - 1 for n in range(1, 5)], np.uint64))
    return _Secrets(start, length | np.uint64(1), first | np.uint64(1), second | np.uint64(1))
