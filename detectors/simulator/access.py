"""Requests at the edge: who lives in the simulated bank, and how many of each."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from detectors.simulator import agents, attackers, people
from detectors.simulator.bank import Bank
from detectors.simulator.tracks import Labelled, Track, play

OPENING = 1_767_600_000.0  # Unix seconds of a Monday, 08:00 UTC: within office hours
_HOUR = 3600.0  # seconds
_BACK = 0.4  # share of the people who are there in an hour


def access_traffic(
    seed: int, seconds: float = 900.0, step: float = 0.25, people_count: int = 400
) -> Iterator[Labelled]:
    """Some time in the bank, in batches of `step` seconds; with more than an hour, hour by hour. Who comes again is as
    before; an attacker attacks in one of the hours, and is not seen after it. The other kinds are in proportion to
    people.
    """
    hours = max(1, math.ceil(seconds / _HOUR))
    length = seconds / hours
    for hour in range(hours):
        bank = Bank(np.random.default_rng((seed, 1, hour)), OPENING + hour * length, length, seed)
        tracks = [
            *_honest(bank, people_count, 1.0 if hours == 1 else _BACK),
            *_hostile(bank, people_count, hour, hours),
        ]
        yield from play([track for track in tracks if len(track.times)], step)


def _honest(bank: Bank, count: int, present: float) -> Iterator[Track]:
    for number in np.flatnonzero(bank.rng.random(count) < present).tolist():
        yield from people.customer(bank, number)
    for number in range(3 * _some(count)):
        yield from people.teller(bank, number)
        yield from agents.batch(bank, number)
        yield from agents.assistant(bank, number)
        yield from people.expired_machine(bank, number)


def _hostile(bank: Bank, count: int, hour: int, hours: int) -> Iterator[Track]:
    for number in range(4 * _some(count)):
        if number % hours > hour:
            yield from attackers.before_takeover(bank, number)
            yield from attackers.before_theft(bank, number)
        elif number % hours == hour:
            yield from attackers.taken_over_agent(bank, number)
            yield from attackers.stolen_session(bank, number)
            if number % 2:
                yield from attackers.credential_stuffing(bank, number)


def _some(count: int) -> int:
    return max(1, count // 20)


def takeover(seed: int, rate: float = 50.0, step: float = 0.05) -> Iterator[Labelled]:
    """The demo's step 4: invoice-bot used to read one account and pay now and then, and now enumerates other
    customers' at `rate` with varying gaps, while ledger-bot works at the same pace on what is its own, and alice
    mistypes once.
    """
    bank = Bank(np.random.default_rng((seed, 2)), OPENING, 60.0, seed)
    tracks = [
        *agents.ledger_bot(bank, rate),
        *attackers.invoice_bot(bank, rate),
        *people.alice(bank),
    ]
    return play(tracks, step)
