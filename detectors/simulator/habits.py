"""Honest flows that come again and again: what a host asks of others without anybody touching it, and what its people
do beside that. Each function gives one host's tracks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.simulator.rhythms import every, now_and_then, sizes
from detectors.simulator.sites import Site
from detectors.simulator.tracks import Track

Habit = Callable[[Site, str, list[str]], list[Track]]  # the site, the host, and outside peers that many share


def _peer(site: Site, shared: list[str], alone: float) -> str:
    """Somebody whom others ask too, or with the chance `alone` nobody else."""
    return site.outside() if not shared or site.chance(alone) else str(site.rng.choice(shared))


def clock(site: Site, host: str, shared: list[str]) -> list[Track]:
    """NTP (RFC 5905): gaps are powers of two, and all packets are alike."""
    period = float(2 ** site.rng.integers(6, 11))
    peers = [site.server(0)] if site.chance(0.5) else [_peer(site, shared, 0.2) for _ in range(site.rng.integers(1, 5))]
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
    peer = site.server(int(site.rng.integers(1, 6))) if inside else _peer(site, shared, 0.08)
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
    return [site.flows(host, _peer(site, shared, 0.1), 443, times, sent, received, sizes(site.rng, len(times), 3, 1))]


def mail(site: Site, host: str, shared: list[str]) -> list[Track]:
    """Looks for mail each few minutes; what there is differs."""
    start, end = site.stretch()
    times = every(site.rng, float(site.rng.choice([60, 120, 300, 600, 900])), 0.02, start, end)
    new = site.rng.random(len(times)) < site.rng.uniform(0.05, 0.5)
    received = sizes(site.rng, len(times), 3000, 0.1) + new * sizes(site.rng, len(times), 60_000, 1.5)
    peer = site.server(6) if site.chance(0.4) else _peer(site, shared, 0.2)
    port = int(site.rng.choice([993, 993, 995, 443]))
    return [site.flows(host, peer, port, times, sizes(site.rng, len(times), 900, 0.15), received, 1.5)]


def chat(site: Site, host: str, shared: list[str]) -> list[Track]:
    """One long connection, begun anew when it breaks, and a poll beside it while it stands."""
    start, end = site.stretch()
    longest = site.between(300, 7200)
    opened = np.cumsum(site.rng.exponential(longest, 60)) + start
    opened = opened[opened < end]
    lasted = np.diff(opened, append=end) * 0.98
    peer = _peer(site, shared, 0.08)
    rate = site.between(5, 300)
    kept = site.flows(host, peer, 443, opened, rate * lasted, rate * 3 * lasted, lasted)
    times = every(site.rng, site.between(30, 600), site.rng.uniform(0, 0.2), start, end)
    counts = len(times)
    poll = site.flows(
        host, _peer(site, shared, 0.08), 443, times, sizes(site.rng, counts, 2500, 0.5),
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
        peer, port = _peer(site, shared, 0.45), int(site.rng.choice([443, 443, 443, 443, 80, 8443]))
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
    resolver = site.server(int(site.rng.integers(0, 2))) if site.chance(0.8) else _peer(site, shared, 0.1)
    answers = sizes(site.rng, len(times), 140, 0.6)
    return [site.flows(host, resolver, 53, times, sizes(site.rng, len(times), 42, 0.2), answers, 0.03, proto="udp")]


def sync(site: Site, host: str, shared: list[str]) -> list[Track]:
    """A folder in the cloud: a short call each minute or so, and now and then a large upload to the same peer."""
    start, end = site.stretch()
    peer = _peer(site, shared, 0.15)
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
    peers = [_peer(site, shared, 0.5) for _ in times]
    port = int(site.rng.choice([3478, 3479, 443, 8801, 10_000]))
    received = rate * lasted * site.rng.uniform(0.6, 3, len(times))
    return [site.flows(host, peers, port, times, rate * lasted, received, lasted, proto="udp")]


def backup(site: Site, host: str, shared: list[str]) -> list[Track]:
    """All that is new, by night, to a store inside, seldom to one outside; some ask it all day whether it is there."""
    inside = site.chance(0.85)
    peer = site.server(int(site.rng.integers(30, 33))) if inside else _peer(site, shared, 0.3)
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
    peer = site.server(int(site.rng.integers(40, 60))) if inside else _peer(site, shared, 0.4)
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
