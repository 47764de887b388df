"""Network flows at a branch's sensor: benign hosts and scanners, in the words of Zeek and of Suricata."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from detectors.simulator import pace
from detectors.simulator.access import OPENING
from detectors.simulator.tracks import Labelled, Numbers, Track, play
from telemetry import Kind

_SERVICES = np.array([53, 80, 443, 443, 443, 22, 25, 445, 3389, 8443])
_REMOTE = (22, 445, 3389)
_DONE = {"zeek": "SF", "eve": "closed timeout"}
_FAILED = {"zeek": ("S0", "REJ", "RSTO"), "eve": ("new timeout",) * 3}


def flow_traffic(seed: int, seconds: float = 900.0, step: float = 0.5, hosts: int = 300) -> Iterator[Labelled]:
    """A quarter of an hour at the sensor. Attackers are a tenth of the hosts."""
    rng = np.random.default_rng((seed, 3))
    tracks: list[Track] = []
    for number in range(hosts):
        tracks.append(_desk(rng, number, seconds))
        if number % 5 == 0:
            tracks.append(_server(rng, number, seconds))
        if number % 20 == 0:
            tracks += [_monitor(rng, number, seconds), _broken(rng, number, seconds)]
        if number % 10 == 0:
            tracks.append(_scanner(rng, number, seconds))
    return play(tracks, step)


def _desk(rng: Generator, number: int, seconds: float) -> Track:
    """A workstation: a browser's bursts to many services, few failures; and one or two hosts that are worked on."""
    times = pace.person(rng, float(rng.uniform(60, seconds)))
    peers, ports = rng.integers(0, int(rng.integers(3, 60)), len(times)), rng.choice(_SERVICES, len(times))
    peers = np.where(np.isin(ports, _REMOTE), peers % int(rng.integers(1, 3)), peers)
    return _track(rng, f"10.1.{number // 250}.{number % 250}", times, peers, ports, 0.03)


def _server(rng: Generator, number: int, seconds: float) -> Track:
    """A service calling its few backends at a steady, high rate."""
    rate = pace.log_uniform(rng, 0.5, 40)
    times = pace.machine(rng, rate, int(min(1500, rate * seconds)), "random")
    peers = rng.integers(0, int(rng.integers(1, 8)), len(times))
    ports = rng.choice(_SERVICES[: int(rng.integers(1, 5))], len(times))
    return _track(rng, f"10.2.{number // 250}.{number % 250}", times, peers, ports, 0.01)


def _monitor(rng: Generator, number: int, seconds: float) -> Track:
    """Health checks: the same many peers over and over, some of them down."""
    size = int(rng.integers(10, 150))
    times = pace.machine(rng, pace.log_uniform(rng, 2, 20), 800, "regular")
    peers = np.arange(800) % size
    down = rng.random(size) < 0.05
    return _track(
        rng, f"10.3.{number // 250}.{number % 250}", times, peers, np.full(800, 443), 0.01, failed=down[peers]
    )


def _broken(rng: Generator, number: int, seconds: float) -> Track:
    """A client whose one server is down: it fails at every try, on one port."""
    times = pace.machine(rng, pace.log_uniform(rng, 0.2, 10), 200, "varying")
    return _track(rng, f"10.4.{number // 250}.{number % 250}", times, np.zeros(200, np.int64), np.full(200, 5432), 1.0)


def _scanner(rng: Generator, number: int, seconds: float) -> Track:
    """Vertical (many ports of one peer) or horizontal (one port of many peers), fast or slow, beside usual traffic."""
    rate = pace.log_uniform(rng, 0.2, 200)
    count = int(np.clip(rate * 60, 60, 800))
    times = pace.machine(rng, rate, count, pace.RHYTHMS[int(rng.integers(3))]) + rng.uniform(0, seconds / 3)
    vertical = rng.random() < 0.5
    peers = np.zeros(count, np.int64) if vertical else rng.permutation(60_000)[:count]
    ports = rng.permutation(65_000)[:count] + 1 if vertical else np.full(count, rng.choice(_SERVICES))
    share = float(rng.uniform(0.6, 1.0))
    return _track(rng, f"10.5.{number // 250}.{number % 250}", times, peers, ports, share, hostile=True)


def _track(
    rng: Generator,
    address: str,
    times: Numbers,
    peers: NDArray[np.int64],
    ports: NDArray[np.int64],
    failing: float,
    *,
    failed: NDArray[np.bool_] | None = None,
    hostile: bool = False,
) -> Track:
    count = len(times)
    fails = rng.random(count) < failing
    fails = fails if failed is None else fails | failed
    sensor = "zeek" if rng.random() < 0.5 else "eve"
    which = rng.integers(0, 3)
    received = np.where(fails, 0, rng.lognormal(8, 1.5, count)).astype(np.int64)
    sent = np.where(fails, rng.integers(0, 60, count), rng.lognormal(6.5, 1.0, count)).astype(np.int64)
    return Track(
        times=OPENING + times,
        hostile=np.full(count, hostile),
        kind=Kind.FLOW,
        source=f"{sensor}:branch-1",
        address=address,
        action=("tcp",) * count,
        outcome=[_FAILED[sensor][which] if fail else _DONE[sensor] for fail in fails.tolist()],
        peer=[f"172.{16 + peer // 65536}.{peer // 256 % 256}.{peer % 256}" for peer in peers.tolist()],
        numbers={
            "port": ports,
            "bytes_in": sent,
            "bytes_out": received,
            "duration": np.where(fails, 0.0, rng.exponential(2.0, count)),
        },
    )
