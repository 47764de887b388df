"""When programs call: every so often with some jitter, by a timer that a person's work disturbs, or as people do."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from detectors.simulator.tracks import Numbers

MOST = 1500  # calls of one program; a faster one calls for a shorter while


def every(rng: Generator, seconds: float, jitter: float, start: float, end: float) -> Numbers:
    """Calls `seconds` apart, each gap shorter by up to the share `jitter`, and late by what a network takes."""
    count = int(np.clip((end - start) / (seconds * (1 - jitter / 2)) + 2, 2, MOST))
    gaps = seconds * (1 - jitter * rng.random(count)) + rng.exponential(0.02 + 0.002 * seconds * rng.random(), count)
    times = start + rng.uniform(0, seconds) + np.cumsum(gaps)
    return times[times < end]


def now_and_then(rng: Generator, rate: float, start: float, end: float) -> Numbers:
    """About `rate` calls a second, in clusters of one to six with long pauses between them."""
    clusters = int(np.clip(rng.poisson(rate * (end - start) / 2.5), 1, MOST // 3))
    begins = np.sort(rng.uniform(start, end, clusters))
    times = np.repeat(begins, rng.integers(1, 7, clusters))
    return np.sort(times + rng.exponential(4.0, len(times)) * rng.choice([0.1, 1.0, 10.0]))


def sizes(rng: Generator, count: int, typical: float, spread: float) -> Numbers:
    """Bytes of each; `spread` is of the logarithm, 0 for ever the same."""
    found: Numbers = np.round(typical * np.exp(spread * rng.standard_normal(count)))
    return found
