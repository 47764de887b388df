"""A day of flows at sites large and small: what is honest and comes again and again, and what only looks so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from detectors.simulator.habits import DESK
from detectors.simulator.implants import IMPLANTS
from detectors.simulator.servers import SERVERS
from detectors.simulator.sites import Site
from detectors.simulator.tracks import Labelled, Track, play

SITES = (150, 60, 60, 30, 20, 20, *(10,) * 4, *(5,) * 6, *(3,) * 6, *(2,) * 6, *(1,) * 24)  # hosts of each
_SHARED = 40  # outside peers that several hosts of several sites ask
_KINDS = (*IMPLANTS, "large_upload", "large_upload")  # one that soon is over is had more often
_INFECTED = 0.8  # of the hosts; far more than anywhere, so that there is enough to learn from


def pair_traffic(
    seed: int, seconds: float = 86_400.0, step: float = 30.0, hostile: bool = True, banks: int = 1
) -> Iterator[Labelled]:
    """A day from the morning on. Of each bank's 464 hosts most have some implants, if `hostile`."""
    rng = np.random.default_rng((seed, 6))
    tracks: list[Track] = []
    for bank in range(banks):
        tracks += _bank(rng, bank * (len(SITES) + 1), seconds, hostile)
    return play([track for track in tracks if len(track.times)], step)


def honest_flows(seed: int, hosts: int = 200, days: float = 1.0, step: float = 1.0) -> Iterator[Labelled]:
    """Honest days of one site, from the morning on. For counting false alarms."""
    rng = np.random.default_rng((seed, 8))
    site = Site(rng, 1, hosts, days * 86_400.0)
    shared = [site.outside() for _ in range(_SHARED)]
    return play([track for track in _site(site, shared, hostile=False) if len(track.times)], step)


def kind_traffic(kind: str, seed: int, count: int, seconds: float, step: float = 30.0) -> Iterator[Labelled]:
    """Some implants of one kind, each on a host of its own that is otherwise honest."""
    rng = np.random.default_rng((seed, 7))
    site = Site(rng, 1, count, seconds)
    shared = [site.outside() for _ in range(_SHARED)]
    tracks = [track for number in range(count) for track in _host(site, number, shared, [kind])]
    return play([track for track in tracks if len(track.times)], step)


def _bank(rng: Generator, first: int, seconds: float, hostile: bool) -> list[Track]:
    """Its sites are numbered from `first` on, which is the outside that several of them ask."""
    outside = Site(rng, first, 0, seconds)
    shared = [outside.outside() for _ in range(_SHARED)]
    tracks: list[Track] = []
    for number, size in enumerate(SITES, first + 1):
        site = Site(rng, number, size, seconds)
        own = [site.outside() for _ in range(int(rng.integers(2, 12)))]  # of this site's products
        tracks += _site(site, shared[: int(rng.integers(0, _SHARED))] + own if size > 2 else own, hostile)
    return tracks


def _site(site: Site, shared: list[str], hostile: bool) -> list[Track]:
    tracks: list[Track] = []
    for number in range(site.size):
        implants = site.rng.choice(_KINDS, int(site.rng.integers(2, 5))) if site.chance(_INFECTED) else ()
        tracks += _host(site, number, shared, [str(kind) for kind in implants] if hostile else [])
    for number in range(max(1, site.size // 15)):
        for make in SERVERS:
            if site.size > 10 or site.chance(0.3):
                tracks += make(site, number)
    return tracks


def _host(site: Site, number: int, shared: list[str], implants: list[str]) -> list[Track]:
    """One host's habits, and what was put on it."""
    host = site.host(number)
    tracks = [track for habit, share in DESK if site.chance(share) for track in habit(site, host, shared)]
    return tracks + [track for kind in implants for track in IMPLANTS[kind](site, host)]
