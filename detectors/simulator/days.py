"""Honest days at the bank, hour by hour: who works when, and nobody hostile. For counting false alarms.

People come by the hour of the day, fewer at night and at the weekend; agents and workloads run all day. Each hour is a
stretch of its own, so that a week needs no more memory than an hour does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detectors.simulator import agents, people
from detectors.simulator.access import OPENING
from detectors.simulator.bank import Bank
from detectors.simulator.tracks import Labelled, Track, play

_HOUR = 3600.0  # seconds
# Share of the people who are there in each hour from midnight, on a working day
_BUSY = (1, 1, 1, 1, 1, 2, 5, 12, 25, 35, 38, 36, 30, 33, 36, 35, 32, 28, 20, 16, 14, 10, 6, 3)
_TELLERS = 10  # one in so many works through her hours
_WEEKEND = 0.3  # of a working day's people


def honest_days(
    seed: int, days: int, people_count: int = 2000, agent_count: int = 200, step: float = 1.0
) -> Iterator[Labelled]:
    """From Monday, midnight UTC, in batches of `step` seconds. Same seed, same days."""
    midnight = OPENING - 8 * _HOUR
    for hour in range(24 * days):
        rng = np.random.default_rng((seed, 5, hour))
        bank = Bank(rng, midnight + hour * _HOUR, _HOUR, seed)
        tracks = list(_present(bank, hour, people_count)) + list(_machines(bank, agent_count))
        some = [track for track in tracks if len(track.times)]
        if some:
            yield from play(some, step)


def _present(bank: Bank, hour: int, count: int) -> Iterator[Track]:
    share = _BUSY[hour % 24] / 100 * (_WEEKEND if hour // 24 % 7 >= 5 else 1.0)
    for number in np.flatnonzero(bank.rng.random(count) < share).tolist():
        yield from people.teller(bank, number) if number % _TELLERS == 0 else people.customer(bank, number)
    for number in range(int(count * share / 100)):
        yield from people.expired_machine(bank, number)


def _machines(bank: Bank, count: int) -> Iterator[Track]:
    for number in range(count):
        if number % 2:
            yield from agents.batch(bank, number)
        elif bank.chance(0.3):
            yield from agents.assistant(bank, number)
