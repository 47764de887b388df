"""Texts as 64-bit numbers.

Not a cryptographic hash. Its multipliers are secret, and two of them lie between one word of a text and the next: a
difference in a word's highest bit, which any one odd multiplier leaves where it is (Aumasson and Bernstein's
collisions of MurmurHash3 for every seed), is spread by the second one in a way that nobody can tell without the key.
Texts of one length that differ within one word of eight bytes never have the same hash.
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telemetry.native import code_texts, hash_texts

Hashes = NDArray[np.uint64]
Letters = NDArray[np.uint8]
Offsets = NDArray[np.int64]

MAX_BYTES: Final = 512  # of one text; what follows does not change its hash
PROCESS_KEY: Final = secrets.randbits(64)  # for what does not outlive the process
_GAMMA: Final = 0x9E3779B97F4A7C15
_MOST: Final = 2**64 - 1


def hash_letters(letters: Letters, starts: Offsets, lengths: Offsets, key: int = PROCESS_KEY) -> Hashes:
    """[n] hashes of the texts that lie at `starts` in the letters, `lengths` bytes each, under a key of 64 bits."""
    return hash_texts(letters, starts, lengths, _secrets(key))


def code_letters(letters: Letters, starts: Offsets, lengths: Offsets) -> tuple[NDArray[np.int32], Offsets]:
    """[n] codes of such texts, the same for equal ones, in order of first appearance; of each code its first row."""
    return code_texts(letters, starts, lengths, _secrets(PROCESS_KEY))


def mix(numbers: NDArray[np.integer]) -> Hashes:
    """Spread numbers so that neighbours land far apart: the finisher of MurmurHash3 (public domain)."""
    hashes = numbers.astype(np.uint64)
    for factor in (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)):
        hashes ^= hashes >> np.uint64(33)
        hashes *= factor
    hashes ^= hashes >> np.uint64(33)
    return hashes


@lru_cache(16)
def _secrets(key: int) -> tuple[int, int, int, int]:
    """The key, stretched by SplitMix64 (Steele, Lea and Flood 2014); multipliers are odd."""
    start, length, first, second = mix(
        np.array([key + n * _GAMMA & (1 << 64) - 1 for n in range(1, 5)], np.uint64)
    ).tolist()
    return start, length | 1, first | 1, second | 1
