"""Algorithms that make names: each draws its own parameters first, and then as many names as are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from detectors.simulator.lexicon import words

_ABC = "abcdefghijklmnopqrstuvwxyz"
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxyz"
_A_TO_M = (8.2, 1.5, 2.8, 4.3, 12.7, 2.2, 2.0, 6.1, 7.0, 0.2, 0.8, 4.0, 2.4)
_N_TO_Z = (6.7, 7.5, 1.9, 0.1, 6.0, 6.3, 9.1, 2.8, 1.0, 2.4, 0.2, 2.0, 0.1)
ENGLISH = np.array(_A_TO_M + _N_TO_Z)  # how often English uses each letter, in percent


def shares(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same, with the sum 1."""
    found: NDArray[np.float64] = odds / odds.sum()
    return found


def _lengths(rng: Generator, count: int, low: int, high: int) -> NDArray[np.int64]:
    """Some families have one length, most a range."""
    least = int(rng.integers(low, high))
    most = least if rng.random() < 0.3 else int(rng.integers(least, high + 1))
    return rng.integers(least, most + 1, count)


def _drawn(rng: Generator, count: int, alphabet: str, low: int, high: int, odds: NDArray[np.float64]) -> list[str]:
    return ["".join(rng.choice(list(alphabet), size, p=odds)) for size in _lengths(rng, count, low, high).tolist()]


def _uniform(rng: Generator, count: int) -> list[str]:
    """Each letter as likely as any other, of an alphabet that may lack some."""
    letters = "".join(sorted(rng.permutation(list(_ABC))[: int(rng.integers(14, 27))].tolist()))
    return _drawn(rng, count, letters, 4, 24, np.full(len(letters), 1 / len(letters)))


def _alphanumeric(rng: Generator, count: int) -> list[str]:
    letters = "".join(sorted(rng.permutation(list(_ABC))[: int(rng.integers(10, 27))].tolist())) + "0123456789"
    return _drawn(rng, count, letters, 8, 28, np.full(len(letters), 1 / len(letters)))


def _lettered(rng: Generator, count: int) -> list[str]:
    """As often as English has each letter, in no order."""
    odds = shares(ENGLISH ** rng.uniform(0.3, 1.0))
    return _drawn(rng, count, _ABC, 4, 18, odds)


def _hashed(rng: Generator, count: int) -> list[str]:
    """Hexadecimal digits of a hash over a date and a number."""
    size, day = int(rng.integers(8, 33)), int(rng.integers(1 << 30))
    return [hashlib.blake2b(f"{day}:{number}".encode()).hexdigest()[:size] for number in range(count)]


def _dated(rng: Generator, count: int) -> list[str]:
    """A hash over a date, its digits turned into letters."""
    day, low = int(rng.integers(1 << 30)), int(rng.integers(7, 14))
    digests = [hashlib.blake2b(f"{day}/{number}".encode()).digest() for number in range(count)]
    return ["".join(_ABC[byte % 25] for byte in digest[1 : low + 1 + digest[0] % 8]) for digest in digests]


def _spoken(rng: Generator, count: int) -> list[str]:
    """Consonants and vowels in turn, now and then two of a kind."""
    consonants = "".join(sorted(rng.permutation(list(_CONSONANTS))[: int(rng.integers(9, 22))].tolist()))
    doubled, start = float(rng.uniform(0, 0.3)), int(rng.integers(2))
    return [
        _syllables(rng, size, consonants, doubled, start + int(rng.integers(2)))
        for size in _lengths(rng, count, 5, 16).tolist()
    ]


def _syllables(rng: Generator, size: int, consonants: str, doubled: float, turn: int) -> str:
    letters = []
    for _ in range(size):
        letters.append(str(rng.choice(list(_VOWELS if turn % 2 else consonants))))
        turn += rng.random() >= doubled
    return "".join(letters)


def _joined(rng: Generator, count: int) -> list[str]:
    """Two or three words of a short list."""
    some = rng.choice(words(), int(rng.integers(60, 800)), replace=False)
    parts, hyphen = 2 if rng.random() < 0.7 else 3, rng.random() * (rng.random() < 0.4)
    return [("-" if rng.random() < hyphen else "").join(rng.choice(some, parts)) for _ in range(count)]


def _syllabic(rng: Generator, count: int) -> list[str]:
    """Syllables of a short list, which the family made up."""
    forms = ("cv", "cvc", "vc", "vcc", "ccv", "v")
    made = [
        "".join(str(rng.choice(list(_VOWELS if one == "v" else _CONSONANTS))) for one in rng.choice(forms))
        for _ in range(int(rng.integers(15, 120)))
    ]
    return ["".join(rng.choice(made, int(rng.integers(2, 6)))) for _ in range(count)]


def _phrased(rng: Generator, count: int) -> list[str]:
    """Words of a list until a length is reached; some families cut the last one off."""
    some = rng.choice(words(), int(rng.integers(60, 1500)), replace=False)
    cut, hyphen = rng.random() < 0.5, "-" if rng.random() < 0.2 else ""
    made = []
    for size in _lengths(rng, count, 12, 26).tolist():
        text = str(rng.choice(some))
        while len(text) < size:
            text += hyphen + str(rng.choice(some))
        made.append(text[:size] if cut else text)
    return made


def _scrambled(rng: Generator, count: int) -> list[str]:
    """Pieces of two to four letters out of words."""
    some, low = rng.choice(words(), 200, replace=False), int(rng.integers(2, 4))
    return ["".join(str(word)[: low + int(rng.integers(2))] for word in rng.choice(some, 4)) for _ in range(count)]


ALGORITHMS: dict[str, Callable[[Generator, int], list[str]]] = {
    "uniform": _uniform,
    "alphanumeric": _alphanumeric,
    "lettered": _lettered,
    "hashed": _hashed,
    "dated": _dated,
    "spoken": _spoken,
    "joined": _joined,
    "phrased": _phrased,
    "scrambled": _scrambled,
    "syllabic": _syllabic,
}
