"""Honest agents and workloads: batch jobs at machine pace on what is theirs, assistants that act for one person."""

from __future__ import annotations

import numpy as np

from detectors.simulator import pace
from detectors.simulator.bank import Bank, an_address, mostly, paths, some_accounts
from detectors.simulator.tracks import Codes, Numbers, Track


def batch(bank: Bank, number: int) -> list[Track]:
    """Works through many accounts of its own at up to 100 a second, and is given new ones now and then. A few may be
    its no more, or not yet; sometimes it loses everything at once, when a policy changes, and hammers on for a while.
    """
    lasting = bank.lasting(f"batch{number}")
    actor = f"agent:batch{number}" if lasting.random() < 0.7 else f"workload:spiffe://bank.example/batch{number}"
    subject = f"person:owner{number}" if actor.startswith("agent:") else actor
    own = some_accounts(lasting, int(pace.log_uniform(lasting, 5, 400)))
    rate, form, address = pace.log_uniform(lasting, 5, 100), int(lasting.integers(0, 4)), an_address(lasting)
    given, refused = _given(bank)
    own = np.concatenate([own, given])
    times = _runs(bank, rate, pace.RHYTHMS[int(lasting.integers(3))])
    touched = np.resize(own if bank.chance(0.6) else bank.rng.permutation(own), len(times))
    outcome = np.array(mostly(bank.rng, len(times), {"error": bank.rng.uniform(0, 0.03)}), dtype=object)
    outcome[np.isin(touched, refused)] = "deny"
    if bank.chance(0.4):
        outcome[np.isin(touched, _lost(bank, own))] = "deny"
    if bank.chance(0.2):  # it has been through all that it has by then
        outcome[max(len(own), int(len(times) * 0.8)) :] = "deny"
    return [bank.requests(times, paths(touched, form), outcome.tolist(), subject=subject, actor=actor, address=address)]


def assistant(bank: Bank, number: int, name: str = "assistant") -> list[Track]:
    """Acts for one person: reads her accounts and pays now and then. A payment over the limit is refused; some
    assistants then retry the same payment many times.
    """
    actor, subject = f"agent:{name}{number}", f"person:principal{number}"
    lasting = bank.lasting(actor)
    address, own = an_address(lasting), some_accounts(lasting, int(lasting.integers(1, 5)))
    start = bank.moment(0.6)
    count = int(bank.rng.integers(0, 120))
    times = start + pace.machine(bank.rng, pace.log_uniform(bank.rng, 0.03, 2), count, "varying")
    pays = bank.rng.random(count) < 0.2
    touched = ["/payments" if paid else path for paid, path in zip(pays, paths(np.resize(own, count)), strict=True)]
    outcome = ["deny" if paid and bank.chance(0.1) else "allow" for paid in pays]
    tracks = [bank.requests(times, touched, outcome, subject=subject, actor=actor, address=address)]
    if bank.chance(0.3):
        retries = int(bank.rng.integers(3, 40))
        again = start + pace.machine(bank.rng, pace.log_uniform(bank.rng, 0.5, 20), retries, "regular")
        refused = ["/payments"] * retries, ["deny"] * retries
        tracks.append(bank.requests(again, *refused, subject=subject, actor=actor, address=address, action="POST"))
    return tracks


def ledger_bot(bank: Bank, rate: float) -> list[Track]:
    """The demo's honest batch agent, on accounts 3000 to 3199."""
    times = bank.opening + pace.machine(bank.rng, rate, int(rate * bank.seconds * 0.95), "random")
    outcome = mostly(bank.rng, len(times), {"error": 0.01})
    touched = paths(np.resize(np.arange(3000, 3200), len(times)))
    return [
        bank.requests(times, touched, outcome, subject="person:carol", actor="agent:ledger-bot", address="10.0.0.8")
    ]


def _runs(bank: Bank, rate: float, rhythm: pace.Rhythm) -> Numbers:
    """One to three runs of some seconds, at one pace."""
    runs = []
    for _ in range(int(bank.rng.integers(1, 4))):
        count = int(rate * bank.rng.uniform(2, 15))
        runs.append(bank.moment() + pace.machine(bank.rng, rate, count, rhythm))
    return np.sort(np.concatenate(runs))


def _given(bank: Bank) -> tuple[Codes, Codes]:
    """Accounts that are new in this stretch, and those of them that it may not touch yet."""
    given = some_accounts(bank.rng, int(bank.rng.integers(1, 20)) if bank.chance(0.3) else 0)
    return given, given[: int(bank.rng.integers(1, 4)) if bank.chance(0.1) else 0]


def _lost(bank: Bank, own: Codes) -> Codes:
    return bank.rng.choice(own, min(len(own), int(bank.rng.integers(1, 5))), replace=False)
