"""Honest flows of a host: what its people do, what its programs do beside that, and how many hosts have which habit.

Each function gives one host's tracks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.simulator.rhythms import every, now_and_then, sizes
from detectors.simulator.sites import Site
from detectors.simulator.timers import backup, broken, clock, heartbeat, somebody, telemetry, timed_login, updates
from detectors.simulator.tracks import Track

Habit = Callable[[Site, str, list[str]], list[Track]]  # the site, the host, and outside peers that many share


def mail(site: Site, host: str, shared: list[str]) -> list[Track]:
    """Looks for mail each few minutes; what there is differs."""
    start, end = site.stretch()
    times = every(site.rng, float(site.rng.choice([60, 120, 300, 600, 900])), 0.02, start, end)
    new = site.rng.random(len(times)) < site.rng.uniform(0.05, 0.5)
    received = sizes(site.rng, len(times), 3000, 0.1) + new * sizes(site.rng, len(times), 60_000, 1.5)
    peer = site.server(6) if site.chance(0.4) else somebody(site, shared, 0.2)
    port = int(site.rng.choice([993, 993, 995, 443]))
    return [site.flows(host, peer, port, times, sizes(site.rng, len(times), 900, 0.15), received, 1.5)]


def chat(site: Site, host: str, shared: list[str]) -> list[Track]:
    """One long connection, begun anew when it breaks, and a poll beside it while it stands."""
    start, end = site.stretch()
    longest = site.between(300, 7200)
    opened = np.cumsum(site.rng.exponential(longest, 60)) + start
    opened = opened[opened < end]
    lasted = np.diff(opened, append=end) * 0.98
    peer = somebody(site, shared, 0.08)
    rate = site.between(5, 300)
    kept = site.flows(host, peer, 443, opened, rate * lasted, rate * 3 * lasted, lasted)
    times = every(site.rng, site.between(30, 600), site.rng.uniform(0, 0.2), start, end)
    counts = len(times)
    poll = site.flows(
        host, somebody(site, shared, 0.08), 443, times, sizes(site.rng, counts, 2500, 0.5),
        sizes(site.rng, counts, 4000, 0.9), sizes(site.rng, counts, 5, 1.0),
    )  # fmt: skip
    return [kept, poll] if len(opened) else [poll]


def surf(site: Site, host: str, shared: list[str]) -> list[Track]:
    """A person's work: several peers, in clusters, with all sorts of sizes."""
    tracks = []
    for _ in range(int(site.rng.integers(2, 9))):
        start, end = site.stretch()
        times = now_and_then(site.rng, site.between(1e-4, 0.02), start, end)
        sent = sizes(site.rng, len(times), 2500, 1.2)
        received = sizes(site.rng, len(times), 25_000, 1.7)
        lasted = sizes(site.rng, len(times), 12, 1.5)
        peer, port = somebody(site, shared, 0.45), int(site.rng.choice([443, 443, 443, 443, 80, 8443]))
        tracks.append(site.flows(host, peer, port, times, sent, received, lasted, failed=0.02))
    return tracks


def files(site: Site, host: str, shared: list[str]) -> list[Track]:
    """Shares of a file server or two, printers, the domain's controllers."""
    tracks = []
    for number in site.rng.choice(8, int(site.rng.integers(1, 4)), replace=False).tolist():
        start, end = site.stretch()
        times = now_and_then(site.rng, site.between(2e-4, 0.01), start, end)
        sent, received = (sizes(site.rng, len(times), typical, 1.8) for typical in (20_000, 90_000))
        port = int(site.rng.choice([445, 445, 139, 389, 88, 135, 631]))
        tracks.append(site.flows(host, site.server(10 + number), port, times, sent, received, 30.0, failed=0.02))
    return tracks


def lookups(site: Site, host: str, shared: list[str]) -> list[Track]:
    """Names, of one or two resolvers."""
    start, end = site.stretch()
    times = now_and_then(site.rng, site.between(0.002, 0.05), start, end)
    resolver = site.server(int(site.rng.integers(0, 2))) if site.chance(0.8) else somebody(site, shared, 0.1)
    answers = sizes(site.rng, len(times), 140, 0.6)
    return [site.flows(host, resolver, 53, times, sizes(site.rng, len(times), 42, 0.2), answers, 0.03, proto="udp")]


def sync(site: Site, host: str, shared: list[str]) -> list[Track]:
    """A folder in the cloud: a short call each minute or so, and now and then a large upload to the same peer."""
    start, end = site.stretch()
    peer = somebody(site, shared, 0.15)
    times = every(site.rng, site.between(30, 300), 0.1, start, end)
    polls = site.flows(
        host, peer, 443, times, sizes(site.rng, len(times), 1800, 0.3), sizes(site.rng, len(times), 3000, 0.6), 2.0
    )
    rare = now_and_then(site.rng, site.between(3e-5, 1e-3), start, end)
    large = sizes(site.rng, len(rare), site.between(2e5, 8e6), 1.2)
    return [polls, site.flows(host, peer, 443, rare, large, large / 60 + 5000, large / 2e6 + 1)]


def call(site: Site, host: str, shared: list[str]) -> list[Track]:
    """Video: a few long flows in which as much goes as comes."""
    times = np.sort(site.rng.uniform(0, site.seconds, int(site.rng.integers(1, 7))))
    lasted = site.rng.uniform(300, 3600, len(times))
    rate = site.between(30_000, 300_000)
    peers = [somebody(site, shared, 0.5) for _ in times]
    port = int(site.rng.choice([3478, 3479, 443, 8801, 10_000]))
    received = rate * lasted * site.rng.uniform(0.6, 3, len(times))
    return [site.flows(host, peers, port, times, rate * lasted, received, lasted, proto="udp")]


DESK: tuple[tuple[Habit, float], ...] = (  # and the share of desks that have it
    (clock, 0.5),
    (telemetry, 0.9),
    (telemetry, 0.5),
    (heartbeat, 0.4),
    (updates, 0.7),
    (mail, 0.5),
    (chat, 0.5),
    (surf, 0.9),
    (files, 0.7),
    (lookups, 0.7),
    (sync, 0.25),
    (call, 0.3),
    (backup, 0.12),
    (broken, 0.12),
    (timed_login, 0.08),
)
