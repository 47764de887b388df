"""Honest people, with their slips: customers, tellers, and clients whose token has run out."""

from __future__ import annotations

import numpy as np

from detectors.simulator import pace
from detectors.simulator.bank import Bank, an_address, mostly, paths, some_accounts
from detectors.simulator.tracks import Track


def customer(bank: Bank, number: int) -> list[Track]:
    """A session on a few accounts of one's own; some mistype, some run into an expired session or a forbidden page."""
    name, start = f"person:p{number}", bank.moment()
    lasting = bank.lasting(name)
    address, own = an_address(lasting), some_accounts(lasting, int(lasting.integers(1, 6)))
    times = start + pace.person(bank.rng, pace.log_uniform(bank.rng, 30, 900))
    touched = paths(bank.rng.choice(own, len(times)), bank.rng.integers(0, 4, len(times)))
    outcome = mostly(bank.rng, len(times), {"error": 0.015})
    tracks = [bank.requests(times, touched, outcome, subject=name, address=address)]
    if bank.chance(0.25):
        tracks.append(_mistypes(bank, name, address, start))
    if bank.chance(0.4):
        tracks.append(_expired(bank, "" if bank.chance(0.7) else name, address, start, own))
    if bank.chance(0.08):
        tracks.append(_polls(bank, name, address, start))
    return tracks


def teller(bank: Bank, number: int) -> list[Track]:
    """Looks into many customers' accounts all day, and may; now and then one is out of reach."""
    name, start = f"person:teller{number}", bank.moment(0.5)
    address = an_address(bank.lasting(name))
    times = start + pace.person(bank.rng, bank.seconds)
    touched = paths(bank.rng.integers(1, 90_000, len(times)), bank.rng.integers(0, 4, len(times)))
    outcome = mostly(bank.rng, len(times), {"error": 0.01, "deny": bank.rng.uniform(0, 0.03)})
    return [bank.requests(times, touched, outcome, subject=name, address=address)]


def expired_machine(bank: Bank, number: int) -> list[Track]:
    """A client that goes on with a token that ran out until it fetches another: 401 at machine pace, not for long."""
    rate, length = pace.log_uniform(bank.rng, 1, 60), bank.rng.uniform(0.3, 3.0)
    count = max(2, int(rate * length))
    times = bank.moment() + pace.machine(bank.rng, rate, count, "random")
    own = some_accounts(bank.rng, int(bank.rng.integers(2, 200)))
    touched = paths(np.resize(own, count))
    return [bank.requests(times, touched, ["unauthenticated"] * count, address=an_address(bank.rng))]


def alice(bank: Bank) -> list[Track]:
    """Reads her one account, and mistypes its number once."""
    times = bank.opening + np.array([0.5, 4.0, 11.0, 19.5, 20.2, 28.0, 35.0])
    touched = np.array([1001, 1001, 1001, 1010, 1001, 1001, 1001])
    outcome = ["deny" if account == 1010 else "allow" for account in touched]
    return [bank.requests(times, paths(touched), outcome, subject="person:alice", address="10.0.0.5")]


def _mistypes(bank: Bank, name: str, address: str, start: float) -> Track:
    """One to four wrong account numbers, each tried up to three times, at the pace of typing."""
    wrong = np.repeat(bank.rng.integers(1, 90_000, _few(bank)), bank.rng.integers(1, 4))
    times = start + bank.rng.uniform(0, 60) + np.cumsum(bank.rng.lognormal(1.3, 0.7, len(wrong)))
    outcome = mostly(bank.rng, len(wrong), {"error": 0.2}, "deny")
    return bank.requests(times, paths(wrong), outcome, subject=name, address=address)


def _few(bank: Bank) -> int:
    return int(bank.rng.choice([1, 2, 3, 4], p=[0.6, 0.25, 0.1, 0.05]))


def _expired(bank: Bank, name: str, address: str, start: float, own: np.typing.NDArray[np.int64]) -> Track:
    """Several 401 from pages that still poll; the edge may or may not know any more who it was."""
    count = int(bank.rng.integers(2, 20))
    times = (
        start + bank.rng.uniform(0, 300) + np.cumsum(bank.rng.exponential(pace.log_uniform(bank.rng, 0.05, 5), count))
    )
    own = own[: int(bank.rng.integers(1, len(own) + 1))]
    touched = paths(bank.rng.choice(own, count), bank.rng.integers(0, int(bank.rng.integers(1, 5)), count))
    return bank.requests(times, touched, ["unauthenticated"] * count, subject=name, address=address)


def _polls(bank: Bank, name: str, address: str, start: float) -> Track:
    """A page that asks again and again for one thing that this person may not see."""
    every = pace.log_uniform(bank.rng, 0.5, 20)
    times = start + np.arange(0, min(bank.seconds, 60 * every), every)
    return bank.requests(times, ["/reports/daily"] * len(times), ["deny"] * len(times), subject=name, address=address)
