"""Hostile pairs: beacons, retries on a dead command server, exfiltration, password guessing, lateral movement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detectors.simulator.rhythms import MOST, every, sizes
from detectors.simulator.sites import Site
from detectors.simulator.tracks import Numbers, Track

Implant = Callable[[Site, str], list[Track]]
_JITTERS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.37, 0.5)
_WEB, _ODD = (443, 443, 443, 80, 8080, 8443), (4444, 2404, 5552, 1604, 6606, 7707, 9001, 50_050, 31_337, 53)


def _begin(site: Site) -> float:
    return 0.0 if site.chance(0.3) else float(site.rng.uniform(0.0, 0.5) * site.seconds)


def _port(site: Site) -> int:
    return int(site.rng.choice(_WEB if site.chance(0.6) else _ODD))


def _calls(site: Site, host: str, peer: str, port: int, times: Numbers) -> Track:
    """Checks in with a message that hardly differs; sometimes there is a task, and an answer to it."""
    count = len(times)
    busy = site.rng.random(count) < site.rng.choice([0.0, 0.01, 0.05])
    sent = sizes(site.rng, count, site.between(150, 3000), site.rng.choice([0.0, 0.01, 0.05]))
    received = sizes(site.rng, count, site.between(100, 2500), site.rng.choice([0.0, 0.01, 0.05]))
    sent = sent + busy * sizes(site.rng, count, 15_000, 1.3)
    received = received + busy * sizes(site.rng, count, 8000, 1.3)
    lasted = sizes(site.rng, count, site.between(0.05, 3), 0.2)
    failed = float(site.rng.choice([0.0, 0.0, 0.02, 0.2]))
    return site.flows(host, peer, port, times, sent, received, lasted, failed=failed, hostile=True)


def beacon(site: Site, host: str) -> list[Track]:
    """Sleeps, calls, sleeps: seconds to minutes, with jitter as Cobalt Strike has it (up to half of the gap)."""
    period, jitter = site.between(5, 900), float(site.rng.choice(_JITTERS))
    times = every(site.rng, period, jitter, _begin(site), site.seconds)
    peer = site.outside() if site.chance(0.93) else site.host(int(site.rng.integers(site.size)))
    return [_calls(site, host, peer, _port(site), times)]


def slow_beacon(site: Site, host: str) -> list[Track]:
    """A quarter of an hour to an hour between calls."""
    times = every(site.rng, site.between(900, 3600), float(site.rng.choice(_JITTERS)), _begin(site), site.seconds)
    return [_calls(site, host, site.outside(), _port(site), times)]


def hidden_beacon(site: Site, host: str) -> list[Track]:
    """DNS over HTTPS: each call is some questions to one resolver, close together."""
    begins = every(site.rng, site.between(15, 900), float(site.rng.choice(_JITTERS)), _begin(site), site.seconds)
    begins = begins[: MOST // 3]
    times = np.repeat(begins, site.rng.integers(1, 4, len(begins)))
    times = np.sort(times + site.rng.uniform(0, 1.5, len(times)))
    sent, received = (sizes(site.rng, len(times), typical, 0.06) for typical in (700, 1100))
    return [site.flows(host, site.outside(), 443, times, sent, received, 0.4, hostile=True)]


def dead_server(site: Site, host: str) -> list[Track]:
    """Its server is gone, its port closed: it tries again and again, some a second address in turn."""
    times = every(site.rng, site.between(1, 300), float(site.rng.choice(_JITTERS)), _begin(site), site.seconds)
    port = _port(site)
    parts = (
        np.array_split(np.arange(len(times)), 1)
        if site.chance(0.7)
        else [np.arange(at, len(times), 2) for at in (0, 1)]
    )
    return [
        site.flows(host, site.outside(), port, times[part], 0.0, 0.0, 0.0, failed=1.0, hostile=True) for part in parts
    ]


def large_upload(site: Site, host: str) -> list[Track]:
    """All at once, in one flow or some."""
    parts = int(site.rng.choice([1, 1, 2, 4, 8, 20]))
    times = site.rng.uniform(0.2, 0.95) * site.seconds + np.cumsum(site.rng.exponential(site.between(1, 60), parts))
    sent = sizes(site.rng, parts, site.between(5e7, 2e10) / parts, 0.3)
    port = int(site.rng.choice([443, 443, 22, 21, 990, 8080, 53, 4444]))
    return [site.flows(host, site.outside(), port, times, sent, sent / 90, sent / 4e6 + 1, hostile=True)]


def many_uploads(site: Site, host: str) -> list[Track]:
    """In pieces of one size, with pauses."""
    parts = int(site.rng.integers(40, 600))
    piece = site.between(1e5, 4e6)
    times = every(site.rng, site.between(3, 120), float(site.rng.choice(_JITTERS)), _begin(site), site.seconds)[:parts]
    sent = sizes(site.rng, len(times), piece, 0.05)
    port = int(site.rng.choice([443, 443, 80, 22, 8080, 9001]))
    return [
        site.flows(host, site.outside(), port, times, sent, sizes(site.rng, len(times), 900, 0.2), 2.0, hostile=True)
    ]


def upload_by_beacon(site: Site, host: str) -> list[Track]:
    """A beacon whose calls carry away more and more."""
    [calls] = beacon(site, host)
    later = np.arange(len(calls.times)) > len(calls.times) * site.rng.uniform(0.2, 0.5)
    told = calls.numbers["bytes_in"].astype(np.float64)
    taken = later * (told > 0) * sizes(site.rng, len(later), site.between(5e4, 3e6), 0.2)
    calls.numbers["bytes_in"] = told + taken
    return [calls]


def guessing(site: Site, host: str) -> list[Track]:
    """Passwords tried on one target by SSH, RDP or SMB: short flows that are all alike; some from outside."""
    source = site.outside() if site.chance(0.4) else host
    port = int(site.rng.choice([22, 22, 22, 3389, 445, 21, 5900]))
    period = site.between(0.1, 60)
    count = int(np.clip(site.between(300, 20_000) / period, 25, MOST))
    start = _begin(site)
    times = every(site.rng, period, float(site.rng.choice([0.1, 0.5, 0.9])), start, site.seconds)[:count]
    typical = {22: (1500, 2300), 3389: (1700, 2400), 445: (900, 1000), 21: (80, 300), 5900: (60, 120)}[port]
    sent, received = (sizes(site.rng, len(times), site.rng.uniform(0.6, 1.6) * one, 0.08) for one in typical)
    lasted = sizes(site.rng, len(times), site.between(0.3, 4), 0.25)
    peer = site.server(int(site.rng.integers(60, 80))) if site.chance(0.9) else site.outside()
    refused = float(site.rng.choice([0.0, 0.05, 0.5]))
    return [site.flows(source, peer, port, times, sent, received, lasted, failed=refused, hostile=True)]


def lateral(site: Site, host: str) -> list[Track]:
    """Turns to hosts of its site that it never spoke to, over a port by which they are worked on."""
    ports = site.rng.choice([445, 445, 3389, 5985, 22, 135], int(site.rng.integers(1, 3)), replace=False).tolist()
    count = int(site.rng.integers(5, 18))
    hosts = [site.host(200 + int(place)) for place in site.rng.choice(180, count, replace=False)]
    start, gap = site.rng.uniform(0.25, 0.9) * site.seconds, site.between(1, 300)
    begins = start + np.cumsum(site.rng.lognormal(0, 0.8, count) * gap)
    tracks = []
    for port in ports:
        tries = site.rng.integers(1, 4, count)
        times = np.repeat(begins, tries) + site.rng.uniform(0, 5, int(tries.sum()))
        peers = [peer for peer, several in zip(hosts, tries.tolist(), strict=True) for _ in range(several)]
        order = np.argsort(times)
        sent = sizes(site.rng, len(times), 3000, 1.0)
        failed = np.repeat(site.rng.random(count) < site.rng.uniform(0, 0.6), tries)[order]
        tracks.append(
            site.flows(
                host,
                [peers[row] for row in order.tolist()],
                int(port),
                times[order],
                sent,
                sent * 1.2,
                4.0,
                failed=failed,
                hostile=True,
            )
        )
    return tracks


IMPLANTS: dict[str, Implant] = {
    "beacon": beacon,
    "slow_beacon": slow_beacon,
    "hidden_beacon": hidden_beacon,
    "dead_server": dead_server,
    "large_upload": large_upload,
    "many_uploads": many_uploads,
    "upload_by_beacon": upload_by_beacon,
    "guessing": guessing,
    "lateral": lateral,
}
