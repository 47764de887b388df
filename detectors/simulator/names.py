"""Names that people choose and names that algorithms make, each with where it comes from. Same seed, same names.

A *family* is one algorithm with its parameters: an alphabet or word list, lengths, ends. Families differ as those of
malware do (Plohmann et al., "A Comprehensive Measurement Study of Domain Generating Malware", USENIX Security 2016:
arithmetic, hash, permutation and word list), and none is a copy of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from detectors.simulator.algorithms import ALGORITHMS, ENGLISH, shares
from detectors.simulator.ends import bought_ends, chosen_ends
from detectors.simulator.lexicon import brands, places, words

_ABC = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class NamesOf:
    """Names of one origin: a family of algorithms, or people."""

    family: str
    names: tuple[str, ...]
    made: bool  # by an algorithm


def simulated_names(seed: int, families: int = 300, each: int = 30) -> tuple[NamesOf, ...]:
    """Some families, and as many names that people chose as all of them have."""
    rng = np.random.default_rng((seed, 5))
    made = [_family(rng, number, each) for number in range(families)]
    return (NamesOf("people", chosen_names(rng, families * each), False), *made)


def chosen_names(rng: Generator, count: int) -> tuple[str, ...]:
    """Names as people choose them: brands, words, both together, initials, with now and then a digit or hyphen."""
    kinds = rng.choice(len(_CHOICES), count, p=_SHARES)
    ends = chosen_ends(rng, count)
    return tuple(f"{_CHOICES[kind](rng)[:40]}.{end}" for kind, end in zip(kinds.tolist(), ends.tolist(), strict=True))


def _family(rng: Generator, number: int, count: int) -> NamesOf:
    kind = list(ALGORITHMS)[number % len(ALGORITHMS)]
    ends = bought_ends(rng)
    made = ALGORITHMS[kind](rng, count)
    return NamesOf(f"{kind}-{number}", tuple(f"{name}.{rng.choice(ends)}" for name in made), True)


def _pick(rng: Generator, table: Sequence[str]) -> str:
    return table[int(rng.integers(len(table)))]


def _initials(rng: Generator) -> str:
    return "".join(rng.choice(list(_ABC), int(rng.integers(2, 6)), p=shares(ENGLISH)).tolist())


def _coined(rng: Generator) -> str:
    """A brand that is no word: the front of one and the back of another."""
    front, back = _pick(rng, brands()), _pick(rng, words())
    return front[: int(rng.integers(2, 6))] + back[-int(rng.integers(2, 5)) :]


_CHOICES: tuple[Callable[[Generator], str], ...] = (
    lambda rng: _pick(rng, brands()),
    lambda rng: _pick(rng, brands()) + _pick(rng, words()),
    lambda rng: _pick(rng, words()) + _pick(rng, words()),
    lambda rng: f"{_pick(rng, words())}-{_pick(rng, words() + brands())}",
    lambda rng: _pick(rng, words()),
    _initials,
    lambda rng: _pick(rng, words()) + str(int(rng.integers(1, 2100))),
    lambda rng: (
        _pick(rng, ("my", "the", "e", "i", "go", "get", "top", "best", "free", "web", "pro")) + _pick(rng, words())
    ),
    lambda rng: (
        _pick(rng, words()) + _pick(rng, ("online", "shop", "blog", "media", "tv", "web", "hub", "news", "club"))
    ),
    _coined,
    lambda rng: _pick(rng, places()) + _pick(rng, words()),
    lambda rng: _initials(rng) + _pick(rng, words()),
    lambda rng: _pick(rng, words()) + _pick(rng, words()) + _pick(rng, words()),
)
_SHARES = np.array([0.28, 0.08, 0.14, 0.06, 0.07, 0.07, 0.04, 0.06, 0.05, 0.06, 0.03, 0.03, 0.03])
