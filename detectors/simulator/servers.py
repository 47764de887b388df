"""Honest machines that call others by the dozen: monitors, builds, automation, administrators, clients of stores."""

from __future__ import annotations

import numpy as np

from detectors.simulator.rhythms import every, now_and_then, sizes
from detectors.simulator.sites import Site
from detectors.simulator.tracks import Track


def monitor(site: Site, number: int) -> list[Track]:
    """Asks whether each of some services is there: always the same question. A few are not."""
    host, tracks = site.server(100 + number), []
    period = float(site.rng.choice([10, 15, 30, 60, 300]))
    for place in range(int(site.rng.integers(4, 20))):
        outside = site.chance(0.15)
        peer = site.outside() if outside else site.server(place)
        port = 443 if outside else int(site.rng.choice([443, 80, 22, 8080, 3306, 5432, 9100, 445]))
        start = site.rng.uniform(0, 0.8) * site.seconds
        times = every(site.rng, period, 0.01, start, site.seconds)
        down = 1.0 if site.chance(0.06) else 0.005
        received = sizes(site.rng, len(times), site.between(200, 20_000), site.rng.choice([0.0, 0.3]))
        tracks.append(site.flows(host, peer, port, times, site.between(80, 900), received, 0.1, failed=down))
    return tracks


def builds(site: Site, number: int) -> list[Track]:
    """Looks for new work each minute or so, and fetches much when there is some; sends what it built."""
    host = site.server(120 + number)
    times = every(site.rng, site.between(20, 300), 0.1, 0.0, site.seconds)
    work = site.rng.random(len(times)) < 0.04
    received = sizes(site.rng, len(times), 3000, 0.1) + work * sizes(site.rng, len(times), 2e7, 1.0)
    port = int(site.rng.choice([443, 22]))
    asked = site.flows(host, site.server(7), port, times, sizes(site.rng, len(times), 2000, 0.1), received, 3.0)
    made = times[work] + site.rng.uniform(100, 900, int(work.sum()))
    large = sizes(site.rng, len(made), 3e7, 0.8)
    store = site.server(8) if site.chance(0.7) else site.outside()
    return [asked, site.flows(host, store, 443, made, large, large / 100, large / 1e7)]


def automation(site: Site, number: int) -> list[Track]:
    """Logs in to all its hosts, one after another, by the hour or by the day; from the first day on."""
    host = site.server(140 + number)
    port = int(site.rng.choice([22, 5985, 5986, 445]))
    hosts = [site.server(60 + place) for place in range(int(site.rng.integers(3, 40)))]
    begins = every(site.rng, site.between(1800, 20_000), 0.02, 0.0, site.seconds)
    pause = site.between(0.5, 10)
    times = (begins[:, None] + pause * np.arange(len(hosts))).ravel()
    peers = hosts * len(begins)
    sent = sizes(site.rng, len(times), site.between(5000, 200_000), 0.4)
    return [site.flows(host, peers, port, times, sent, sent * 0.8, sent / 20_000, failed=0.02)]


def administrator(site: Site, number: int) -> list[Track]:
    """Works on several servers by SSH or RDP, longer here and shorter there; mistypes; seldom on a new one."""
    host, tracks = site.server(160 + number), []
    for place in site.rng.choice(40, int(site.rng.integers(3, 14)), replace=False).tolist():
        times = np.sort(site.rng.uniform(0, 0.5 * site.seconds, int(site.rng.integers(1, 8))))
        again = np.sort(np.concatenate([times, times[: site.rng.integers(0, 2)] + site.rng.uniform(5, 20)]))
        lasted = sizes(site.rng, len(again), 400, 1.6)
        sent = sizes(site.rng, len(again), 3000, 0.3) + 100 * lasted
        port = int(site.rng.choice([22, 3389, 5985, 445]))
        tracks.append(site.flows(host, site.server(60 + place), port, again, sent, 5 * sent, lasted, failed=0.04))
    return tracks


def client(site: Site, number: int) -> list[Track]:
    """A service that asks a store all the time, more by day."""
    host = site.server(180 + number)
    rate = site.between(0.003, 0.02)
    start, end = site.stretch()
    times = now_and_then(site.rng, rate, start, end)
    port = int(site.rng.choice([5432, 3306, 1433, 6379, 443, 9092, 8080]))
    sent, received = (sizes(site.rng, len(times), typical, 1.0) for typical in (3000, 20_000))
    return [site.flows(host, site.server(int(site.rng.integers(0, 10))), port, times, sent, received, 2.0)]


SERVERS = (monitor, builds, automation, administrator, client)
