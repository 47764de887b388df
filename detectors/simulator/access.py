"""Requests at the edge: who lives in the simulated bank, and how many of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detectors.simulator import agents, attackers, people
from detectors.simulator.bank import Bank
from detectors.simulator.tracks import Labelled, Track, play

OPENING = 1_767_600_000.0  # Unix seconds of a Monday, 08:00 UTC: within office hours


def access_traffic(
    seed: int, seconds: float = 900.0, step: float = 0.25, people_count: int = 400
) -> Iterator[Labelled]:
    """A quarter of an hour in the bank, in batches of `step` seconds. The other kinds are in proportion to people."""
    bank = Bank(np.random.default_rng((seed, 1)), OPENING, seconds)
    some = max(1, people_count // 20)
    tracks: list[Track] = []
    for number in range(people_count):
        tracks += people.customer(bank, number)
    for number in range(3 * some):
        tracks += people.teller(bank, number)
        tracks += agents.batch(bank, number)
        tracks += agents.assistant(bank, number)
        tracks += people.expired_machine(bank, number)
    for number in range(4 * some):
        tracks += attackers.taken_over_agent(bank, number)
        tracks += attackers.stolen_session(bank, number)
    for number in range(2 * some):
        tracks += attackers.credential_stuffing(bank, number)
    return play([track for track in tracks if len(track.times)], step)


def takeover(seed: int, rate: float = 50.0, step: float = 0.05) -> Iterator[Labelled]:
    """The demo's step 4: invoice-bot used to read one account and pay now and then, and now enumerates other
    customers' at `rate` with varying gaps, while ledger-bot works at the same pace on what is its own, and alice
    mistypes once.
    """
    bank = Bank(np.random.default_rng((seed, 2)), OPENING, 60.0)
    tracks = [
        *agents.ledger_bot(bank, rate),
        *attackers.invoice_bot(bank, rate),
        *people.alice(bank),
    ]
    return play(tracks, step)
