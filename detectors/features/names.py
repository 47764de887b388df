"""What a name looks like: its letters, and their order beside that of names people chose and algorithms made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features.hashing import hash_texts
from detectors.features.labels import LETTERS, SHARED, WIDTH, Codes, Labels
from detectors.features.language import Language

Numbers = NDArray[np.float64]
ENDINGS = 4096  # hashed ends
_WINDOW = 6  # letters over which the least likely stretch is looked for
_ENDS = ("com", "net", "org", "info", "biz", "ru", "su", "eu", "cc", "tk", "de", "uk")
_GENERIC_TEXT = "com net org info biz name pro mobi xyz top site online club space website tech store"
_GENERIC = frozenset(_GENERIC_TEXT.split())
_VOWELS = np.isin(np.arange(LETTERS), [1, 5, 9, 15, 21, 25])  # a e i o u y
_ABC = (np.arange(LETTERS) >= 1) & (np.arange(LETTERS) <= 26)
_DIGITS = (np.arange(LETTERS) >= 27) & (np.arange(LETTERS) <= 36)
_HEX = _DIGITS | ((np.arange(LETTERS) >= 1) & (np.arange(LETTERS) <= 6))
_HYPHEN = np.arange(LETTERS) == 37

_SHAPE = (
    "length", "digits", "digit_share", "digit_groups", "hyphens", "vowel_share", "longest_consonants",
    "longest_vowels", "longest_digits", "hex_share", "distinct_share", "entropy", "repeats", "alternation", "depth",
)  # fmt: skip
_PROSE = ("mean", "worst", "best", "spread", "stretch", "first", "last")
_LONG = ("known4", "known5", "often4", "often5", "run4", "run5")
_SPEECH = (*(f"surprise_{part}" for part in _PROSE), *_LONG)

NAMES: tuple[str, ...] = (
    *_SHAPE,
    *(f"end_{end}" for end in _ENDS),
    "end_country",  # two letters
    "end_generic",
    "end_shared",  # dynamic DNS and free hosting
    "end_length",
    "end_rarity",  # -ln of the share of chosen names that have it
    "end_rarity_made",
    "top_rarity",  # the same of its last label
    "top_rarity_made",
    *(f"ordinary_{part}" for part in _SPEECH),  # beside names that people chose
    *(f"made_{part}" for part in _SPEECH),  # beside names that algorithms made
    "odds_mean",  # ln of how much likelier a letter is in a made name: the mean over letters
    "odds_worst",
    "odds_total",
)


@dataclass(frozen=True, slots=True)
class Languages:
    """What was learnt of both kinds of names."""

    ordinary: Language
    made: Language
    ends: NDArray[np.float16]  # [2, ENDINGS] -ln of the share of chosen, of made names with an end of that hash
    tops: NDArray[np.float16]  # the same of last labels

    @classmethod
    def of(cls, labels: Labels, made: NDArray[np.bool_]) -> Languages:
        """Learn from names of which it is known what they are."""
        letters = labels.letters
        ends, tops = _rarity(_hashed(labels.end), made), _rarity(_hashed(_tops(labels.end)), made)
        return cls(Language.of(letters[~made]), Language.of(letters[made]), ends, tops)

    def matrix(self, labels: Labels) -> NDArray[np.float32]:
        """[names, NAMES]; a name that is not judged has a row of no meaning."""
        letters, length = labels.letters, np.maximum(labels.length, 1)
        ordinary, made = self.ordinary.surprise(letters), self.made.surprise(letters)
        odds = ordinary - made
        columns = [
            *_shape(labels, length),
            *_ends(labels.end),
            *self.ends[:, _hashed(labels.end)],
            *self.tops[:, _hashed(_tops(labels.end))],
            *_speech(self.ordinary, ordinary, letters, length),
            *_speech(self.made, made, letters, length),
            odds.sum(1) / (length + 1),
            _stretch(odds, length),
            odds.sum(1),
        ]
        return np.stack(columns, axis=1).astype(np.float32)


def shape(labels: Labels) -> NDArray[np.float32]:
    """[names, 15] what needs no language: length, digits, vowels, entropy and so on; the first columns of a matrix."""
    return np.stack(_shape(labels, np.maximum(labels.length, 1)), axis=1).astype(np.float32)


def _shape(labels: Labels, length: NDArray[np.int64]) -> Sequence[NDArray[Any]]:
    letters = labels.letters
    digit, vowel, consonant = _DIGITS[letters], _VOWELS[letters], (_ABC & ~_VOWELS)[letters]
    digits = digit.sum(1)
    counts = _counts(letters)
    shares = counts / length[:, None]
    turns = (vowel[:, 1:] & consonant[:, :-1]) | (consonant[:, 1:] & vowel[:, :-1])
    return (
        length,
        digits,
        digits / length,
        (digit[:, 1:] & ~digit[:, :-1]).sum(1) + digit[:, 0],
        _HYPHEN[letters].sum(1),
        vowel.sum(1) / np.maximum(_ABC[letters].sum(1), 1),
        _longest(consonant),
        _longest(vowel),
        _longest(digit),
        _HEX[letters].sum(1) / length,
        (counts > 0).sum(1) / length,
        -(shares * np.log2(np.maximum(shares, 1e-9))).sum(1),
        ((letters[:, 1:] == letters[:, :-1]) & (letters[:, 1:] > 0)).sum(1),
        turns.sum(1) / length,
        np.minimum(labels.depth, 4),
    )


def _ends(ends: Sequence[str]) -> Sequence[Numbers]:
    tests: list[Callable[[str], float]] = [lambda end, one=one: end == one for one in _ENDS]  # type: ignore[misc]
    tests += [lambda end: len(end.rpartition(".")[2]) == 2, _GENERIC.__contains__, SHARED.__contains__, len]
    table = sorted(set(ends))
    place = {end: row for row, end in enumerate(table)}
    rows = np.fromiter((place[end] for end in ends), np.int64, len(ends))
    return [np.fromiter(map(test, table), np.float64, len(table))[rows] for test in tests]


def _hashed(ends: Sequence[str]) -> NDArray[np.int64]:
    return (hash_texts(ends)[0] % np.uint64(ENDINGS)).astype(np.int64)


def _tops(ends: Sequence[str]) -> list[str]:
    return [end.rpartition(".")[2] for end in ends]


def _rarity(bins: NDArray[np.int64], made: NDArray[np.bool_]) -> NDArray[np.float16]:
    counts = np.stack([np.bincount(bins[rows], minlength=ENDINGS) for rows in (~made, made)])
    shares = (counts + 0.5) / (counts.sum(1, keepdims=True) + 0.5 * ENDINGS)
    rarity: NDArray[np.float16] = -np.log(shares).astype(np.float16)
    return rarity


def _speech(
    language: Language, surprise: NDArray[np.float32], letters: Codes, length: NDArray[np.int64]
) -> Sequence[Numbers]:
    inside = np.arange(WIDTH + 1) <= length[:, None]
    mean = surprise.sum(1) / (length + 1)
    best = np.where(inside, surprise, np.inf).min(1)
    spread = np.sqrt(np.maximum((surprise**2).sum(1) / (length + 1) - mean**2, 0.0))
    last = np.take_along_axis(surprise, np.minimum(length, WIDTH)[:, None], axis=1)[:, 0]
    prose = (mean, surprise.max(1), best, spread, _stretch(surprise, length), surprise[:, 0], last)
    shares, often, runs = zip(*(_long(language, letters, which) for which in (0, 1)), strict=True)
    return (*prose, *shares, *often, *runs)


def _long(language: Language, letters: Codes, which: int) -> tuple[Numbers, Numbers, Numbers]:
    """Share of the long sequences that occur in the language, how often they do, and the longest row of them."""
    known, there = language.known(letters, which)
    count = np.maximum(there.sum(1), 1)
    return (known > 0).sum(1) / count, known.sum(1) / count, _longest(known > 0)


def _stretch(values: NDArray[np.float32], length: NDArray[np.int64]) -> Numbers:
    """The highest mean over a window of letters; over all of them where there are fewer."""
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    windows = (sums[:, _WINDOW:] - sums[:, :-_WINDOW]) / _WINDOW
    inside = np.arange(windows.shape[1]) + _WINDOW <= length[:, None] + 1
    whole = sums[:, -1] / (length + 1)
    highest: Numbers = np.maximum(np.where(inside, windows, -np.inf).max(1), whole)
    return highest


def _longest(mask: NDArray[np.bool_]) -> Numbers:
    """The longest row of true values in each row."""
    places = np.arange(1, mask.shape[1] + 1)
    breaks = np.maximum.accumulate(np.where(mask, 0, places), axis=1)
    longest: Numbers = np.where(mask, places - breaks, 0).max(1).astype(np.float64)
    return longest


def _counts(letters: Codes) -> NDArray[np.int64]:
    """[n, LETTERS] how often each letter occurs; none does not count."""
    index = np.arange(len(letters))[:, None] * LETTERS + letters
    counts = np.bincount(index.ravel(), minlength=len(letters) * LETTERS).reshape(-1, LETTERS)
    counts[:, 0] = 0
    return counts
