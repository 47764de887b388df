"""Honest programs that call by a timer: clocks, agents, updates, backups, jobs, and clients of servers that are gone.

Each function gives one host's tracks.
"""

from __future__ import annotations

import numpy as np

from detectors.simulator.rhythms import every, sizes
from detectors.simulator.sites import Site
from detectors.simulator.tracks import Track


def somebody(site: Site, shared: list[str], alone: float) -> str:
    """Somebody whom others ask too, or with the chance `alone` nobody else."""
    return site.outside() if not shared or site.chance(alone) else str(site.rng.choice(shared))


def clock(site: Site, host: str, shared: list[str]) -> list[Track]:
    """NTP (RFC 5905): gaps are powers of two, and all packets are alike."""
    period = float(2 ** site.rng.integers(6, 11))
    peers = (
        [site.server(0)] if site.chance(0.5) else [somebody(site, shared, 0.2) for _ in range(site.rng.integers(1, 5))]
    )
    start, end = site.stretch()
    lost = float(site.rng.choice([0.0, 0.02, 1.0], p=[0.6, 0.35, 0.05]))
    return [
        site.flows(
            host, peer, 123, every(site.rng, period, 0.03, start, end), 48.0, 48.0, 0.03, failed=lost, proto="udp"
        )
        for peer in peers
    ]


def telemetry(site: Site, host: str, shared: list[str]) -> list[Track]:
    """An agent that reports to its maker or to a collector inside: by a timer, what it collected since."""
    period, jitter = site.between(20, 3600), float(site.rng.choice([0.0, 0.05, 0.1, 0.3]))
    inside = site.chance(0.4)
    peer = site.server(int(site.rng.integers(1, 6))) if inside else somebody(site, shared, 0.08)
    start, end = site.stretch()
    times = every(site.rng, period, jitter, start, end)
    sent = sizes(site.rng, len(times), site.between(600, 60_000), site.rng.uniform(0.15, 1.0))
    received = sizes(site.rng, len(times), site.between(200, 5000), site.rng.uniform(0.0, 0.6))
    port = int(site.rng.choice([443, 443, 443, 8443, 514, 9200, 5671, 8086])) if inside else 443
    lasted = sizes(site.rng, len(times), site.between(0.1, 20), 0.5)
    return [site.flows(host, peer, port, times, sent, received, lasted, failed=float(site.rng.uniform(0, 0.04)))]


def heartbeat(site: Site, host: str, shared: list[str]) -> list[Track]:
    """Says that it is there, ever in the same words, to a server inside or to a maker whom others have, too."""
    start, end = site.stretch()
    times = every(site.rng, site.between(10, 1800), float(site.rng.choice([0.0, 0.0, 0.1, 0.3])), start, end)
    outside = site.size > 4 and site.chance(0.5)
    peer = str(site.rng.choice(shared)) if outside else site.server(int(site.rng.integers(1, 6)))
    port = 443 if outside else int(site.rng.choice([443, 8443, 8080, 10_050, 1514, 5671, 9997]))
    spread = float(site.rng.choice([0.0, 0.02, 0.1]))
    sent, received = (sizes(site.rng, len(times), site.between(100, 3000), spread) for _ in range(2))
    return [site.flows(host, peer, port, times, sent, received, sizes(site.rng, len(times), 0.3, 0.2), failed=0.01)]


def updates(site: Site, host: str, shared: list[str]) -> list[Track]:
    """Asks for updates, from twenty minutes to a few hours apart; now and then there is one, and it is large."""
    start, end = site.stretch(0.3)
    times = every(site.rng, site.between(1200, 20_000), site.rng.uniform(0.0, 0.3), start, end)
    there = site.rng.random(len(times)) < 0.1
    received = np.where(there, sizes(site.rng, len(times), 2e7, 1.0), sizes(site.rng, len(times), 8000, 0.4))
    sent = sizes(site.rng, len(times), 1500, 0.3) + received / 200
    return [
        site.flows(host, somebody(site, shared, 0.1), 443, times, sent, received, sizes(site.rng, len(times), 3, 1))
    ]


def backup(site: Site, host: str, shared: list[str]) -> list[Track]:
    """All that is new, by night, to a store inside, seldom to one outside; some ask it all day whether it is there."""
    inside = site.chance(0.85)
    peer = site.server(int(site.rng.integers(30, 33))) if inside else somebody(site, shared, 0.3)
    port = int(site.rng.choice([445, 22, 443, 9000, 10_080, 873, 2049])) if inside else 443
    start = site.rng.uniform(0.5, 0.85) * site.seconds
    parts = int(site.rng.integers(1, 120))
    times = start + np.cumsum(site.rng.exponential(site.between(1, 60), parts))
    sent = sizes(site.rng, parts, site.between(1e7, 3e9) / parts, 0.7)
    tracks = [site.flows(host, peer, port, times, sent, sent / 80, sent / 5e6 + 1)]
    if not inside or site.chance(0.5):
        asked = every(site.rng, site.between(300, 3600), 0.05, 0.0, site.seconds)
        tracks.append(site.flows(host, peer, port, asked, sizes(site.rng, len(asked), 5000, 0.8), 4000.0, 2.0))
    return tracks


def broken(site: Site, host: str, shared: list[str]) -> list[Track]:
    """A client of a server that is down or gone: inside mostly, again and again, or less and less often."""
    start, end = site.stretch()
    period = site.between(1, 900)
    if site.chance(0.4):  # backs off
        gaps = np.minimum(period * 2.0 ** np.arange(60), site.between(60, 3600))
        times = start + np.cumsum(gaps * site.rng.uniform(0.9, 1.1, 60))
    else:
        times = every(site.rng, period, site.rng.uniform(0, 0.3), start, end)
    inside = site.chance(0.93)
    peer = site.server(int(site.rng.integers(40, 60))) if inside else somebody(site, shared, 0.4)
    port = int(site.rng.choice([5432, 443, 8080, 445, 9100, 3306, 8443])) if inside else 443
    return [site.flows(host, peer, port, times, 0.0, 0.0, 0.0, failed=1.0)]


def timed_login(site: Site, host: str, shared: list[str]) -> list[Track]:
    """A job that logs in to one server by SSH on a timer; of some the key is no longer welcome."""
    start, end = site.stretch(0.3)
    times = every(site.rng, float(site.rng.choice([60, 300, 600, 900, 3600])), 0.02, start, end)
    refused = site.chance(0.15)
    sent = sizes(site.rng, len(times), 2200 if refused else site.between(3000, 200_000), 0.02 if refused else 0.6)
    lasted = sizes(site.rng, len(times), 1.0 if refused else 6.0, 0.3)
    return [site.flows(host, site.server(int(site.rng.integers(60, 80))), 22, times, sent, 2900.0, lasted)]
