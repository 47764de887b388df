"""How letters follow one another in some names: what is likely after two letters, and which long sequences occur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.features.labels import LETTERS, WIDTH, Codes

BINS = 1 << 16  # hashed sequences of a length
_LONG = (4, 5)  # letters of the sequences that are remembered as such
_BLUR = (4.0, 8.0)  # how many sightings the shorter context weighs against the longer one
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Language:
    """Learnt from names; does not change."""

    trigrams: NDArray[np.float16]  # [LETTERS, LETTERS, LETTERS] ln P(third | first two); 0 is begin and end
    seen: NDArray[np.uint8]  # [len(_LONG), BINS] names that have a sequence of that hash, at most 255

    @classmethod
    def of(cls, letters: Codes) -> Language:
        """Learn from labels [n, WIDTH]. Absolute counts, each order smoothed by the one below it (Witten 1991)."""
        firsts, seconds, thirds = _triples(letters)
        index = (firsts.astype(np.int64) * LETTERS + seconds) * LETTERS + thirds
        counts = np.bincount(index.ravel()[_inside(letters).ravel()], minlength=LETTERS**3)
        cube = counts.reshape(LETTERS, LETTERS, LETTERS).astype(np.float64)
        single = cube.sum((0, 1)) + 0.5
        single /= single.sum()
        double = _smoothed(cube.sum(0), single, _BLUR[0])
        triple = _smoothed(cube, double[None], _BLUR[1])
        return cls(np.log(triple).astype(np.float16), np.stack([_sightings(letters, size) for size in _LONG]))

    def surprise(self, letters: Codes) -> Numbers:
        """[n, WIDTH + 1] -ln P of each letter after the two before it, the end included; 0 behind it."""
        firsts, seconds, thirds = _triples(letters)
        values: Numbers = -self.trigrams[firsts, seconds, thirds].astype(np.float32) * _inside(letters)
        return values

    def known(self, letters: Codes, which: int) -> tuple[Numbers, NDArray[np.bool_]]:
        """[n, WIDTH] ln(1 + names that have the sequence that begins at a letter), and where there is one."""
        bins, there = _sequences(letters, _LONG[which])
        return np.log1p(self.seen[which][bins].astype(np.float32)) * there, there


def _smoothed(counts: NDArray[np.float64], below: NDArray[np.float64], blur: float) -> NDArray[np.float64]:
    total: NDArray[np.float64] = (counts + blur * below) / (counts.sum(-1, keepdims=True) + blur)
    return total


def _triples(letters: Codes) -> tuple[Codes, Codes, Codes]:
    """Each letter and the two before it, one place more than letters: the end is a letter, too."""
    padded = np.zeros((len(letters), WIDTH + 3), np.uint8)
    padded[:, 2:-1] = letters
    return padded[:, :-2], padded[:, 1:-1], padded[:, 2:]


def _inside(letters: Codes) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.arange(WIDTH + 1) <= (letters > 0).sum(1)[:, None]
    return inside


def _sequences(letters: Codes, size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """[n, WIDTH] hash of the sequence that begins at each letter, and where it lies within the label."""
    padded = np.zeros((len(letters), WIDTH + size), np.uint64)
    padded[:, :WIDTH] = letters
    value = np.zeros((len(letters), WIDTH), np.uint64)
    for place in range(size):
        value = value * np.uint64(LETTERS) + padded[:, place : place + WIDTH]
    bins = ((value * _FACTOR) >> np.uint64(48)).astype(np.int64)
    return bins, padded[:, size - 1 : size - 1 + WIDTH] > 0


def _sightings(letters: Codes, size: int) -> NDArray[np.uint8]:
    bins, there = _sequences(letters, size)
    rows = np.broadcast_to(np.arange(len(letters))[:, None], bins.shape)[there]
    once = np.unique(rows * BINS + bins[there]) % BINS
    return np.minimum(np.bincount(once, minlength=BINS), 255).astype(np.uint8)
