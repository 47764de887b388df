"""Hostile subjects: taken-over agents, stolen sessions, credential stuffing; fast, slow, or with a person's gaps."""

from __future__ import annotations

import numpy as np

from detectors.simulator import agents, pace
from detectors.simulator.bank import Bank, an_address, mostly, paths, some_accounts
from detectors.simulator.tracks import Mask, Numbers, Track

_LONE, _NEW = 0.75, 0.15  # shares of taken-over agents: that act for one person; that were never seen before


def taken_over_agent(bank: Bank, number: int) -> list[Track]:
    """An assistant or batch agent that goes on with its work, and enumerates other people's accounts beside it."""
    honest = before_takeover(bank, number)
    first = honest[0]
    return [
        *honest,
        _enumeration(bank, first.subject, first.actor, first.address, pace.log_uniform(bank.rng, 0.05, 100)),
    ]


def before_takeover(bank: Bank, number: int) -> list[Track]:
    """What it does while it is its owner's; some were never seen before they attack."""
    return [_empty(track) if bank.lasting(f"new{number}").random() < _NEW else track for track in _work(bank, number)]


def _work(bank: Bank, number: int) -> list[Track]:
    if bank.lasting(f"lone{number}").random() < _LONE:
        return agents.assistant(bank, number, "taken")
    return agents.batch(bank, 10_000 + number)


def before_theft(bank: Bank, number: int) -> list[Track]:
    """A person's own session."""
    name, start = f"person:stolen{number}", bank.moment(0.5)
    lasting = bank.lasting(name)
    address, own = an_address(lasting), some_accounts(lasting, int(lasting.integers(1, 6)))
    times = start + pace.person(bank.rng, bank.rng.uniform(20, 600))
    touched = paths(bank.rng.choice(own, len(times)), bank.rng.integers(0, 4, len(times)))
    return [bank.requests(times, touched, ["allow"] * len(times), subject=name, address=address)]


def stolen_session(bank: Bank, number: int) -> list[Track]:
    """A person's session in other hands: a script, or somebody who clicks through account numbers."""
    honest = before_theft(bank, number)
    name, address = honest[0].subject, honest[0].address
    return [*honest, _enumeration(bank, name, name, address, pace.log_uniform(bank.rng, 0.05, 20))]


def credential_stuffing(bank: Bank, number: int) -> list[Track]:
    """Stolen passwords or tokens tried from one address: refused for want of proof, again and again."""
    rate, length = pace.log_uniform(bank.rng, 0.3, 50), bank.rng.uniform(20, 300)
    count = int(np.clip(rate * length, 40, 1500))
    times = bank.moment(0.5) + pace.machine(bank.rng, rate, count, _rhythm(bank))
    touched = ["/login"] * count if bank.chance(0.5) else paths(bank.foreign(count))
    outcome = mostly(bank.rng, count, {"allow": 0.005}, "unauthenticated")
    hostile = np.ones(count, np.bool_)
    return [bank.requests(times, touched, outcome, address=an_address(bank.rng), action="POST", hostile=hostile)]


def invoice_bot(bank: Bank, rate: float) -> list[Track]:
    """The demo's agent: some honest requests, then foreign accounts at `rate` from the twentieth second on."""
    who = ("person:alice", "agent:invoice-bot", "10.0.0.7")
    times = bank.opening + np.array([1.0, 3.5, 8.0, 9.0, 15.0])
    usual = ["/accounts/1001", "/payments", "/accounts/1001", "/payments", "/accounts/1001"]
    outcome = ["allow", "allow", "allow", "deny", "allow"]
    attack = bank.opening + 20.0 + pace.machine(bank.rng, rate, max(int(rate * 4), 30), "varying")
    count = len(attack)
    touched = paths(2000 + bank.rng.permutation(400)[np.arange(count) % 400])
    hostile = np.ones(count, np.bool_)
    return [
        _by(bank, who, times, usual, outcome, np.zeros(5, np.bool_)),
        _by(bank, who, attack, touched, ["deny"] * count, hostile),
    ]


def _by(
    bank: Bank, who: tuple[str, str, str], times: Numbers, touched: list[str], outcome: list[str], hostile: Mask
) -> Track:
    subject, actor, address = who
    return bank.requests(times, touched, outcome, subject=subject, actor=actor, address=address, hostile=hostile)


def _enumeration(bank: Bank, subject: str, actor: str, address: str, rate: float) -> Track:
    count = int(np.clip(rate * bank.rng.uniform(20, 300), 25, 1000))
    times = bank.moment(0.6) + _times(bank, rate, count)
    touched = paths(bank.foreign(count), int(bank.rng.integers(0, 4)))
    outcome = mostly(bank.rng, count, {"error": bank.rng.uniform(0, 0.3)}, "deny")
    hostile = np.ones(count, np.bool_)
    return bank.requests(times, touched, outcome, subject=subject, actor=actor, address=address, hostile=hostile)


def _times(bank: Bank, rate: float, count: int) -> Numbers:
    return pace.machine(bank.rng, rate, count, _rhythm(bank))


def _rhythm(bank: Bank) -> pace.Rhythm:
    return "varying" if bank.chance(0.6) else pace.RHYTHMS[int(bank.rng.integers(2))]


def _empty(track: Track) -> Track:
    return Track(
        times=track.times[:0],
        hostile=track.hostile[:0],
        subject=track.subject,
        actor=track.actor,
        address=track.address,
    )
