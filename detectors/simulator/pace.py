"""Gaps between events, by who makes them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.random import Generator

from detectors.simulator.tracks import Numbers

Rhythm = Literal["regular", "random", "varying"]
RHYTHMS: tuple[Rhythm, ...] = ("regular", "random", "varying")


def machine(rng: Generator, rate: float, count: int, rhythm: Rhythm) -> Numbers:
    """`count` times from 0 at `rate` a second: gaps nearly equal, exponential, or lognormal as a person's would be."""
    match rhythm:
        case "regular":
            gaps = rng.normal(1.0, 0.05, count).clip(0.2)
        case "random":
            gaps = rng.exponential(1.0, count)
        case "varying":
            sigma = rng.uniform(0.3, 1.2)
            gaps = rng.lognormal(-sigma * sigma / 2, sigma, count)
    return np.cumsum(gaps / rate)


def person(rng: Generator, length: float) -> Numbers:
    """Times from 0 to `length`: pages after lognormal thought, each of one to five requests within a blink."""
    thinks = rng.lognormal(np.log(rng.uniform(3, 15)), 0.9, int(length / 2) + 1)
    pages = np.cumsum(thinks)
    pages = pages[pages < length]
    extra = rng.integers(0, 5, len(pages))
    echoes = np.repeat(pages, extra) + rng.uniform(0.005, 0.15, int(extra.sum()))
    return np.sort(np.concatenate([pages, echoes]))


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """A number whose order of magnitude is even."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
