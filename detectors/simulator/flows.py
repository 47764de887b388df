"""Network flows at a branch's sensor: benign hosts and scanners, in the words of Zeek and of Suricata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from detectors.simulator import pace
from detectors.simulator.access import OPENING
from detectors.simulator.sensors import BROKEN_OFF, DONE, REFUSED, UNANSWERED, Ends, Sensor, failures
from detectors.simulator.tracks import Codes, Labelled, Numbers, Track, play
from telemetry import Kind

_SERVICES = np.array([53, 80, 443, 443, 443, 22, 25, 445, 3389, 8443])
_REMOTE = (22, 445, 3389)
_MINUTE = 60.0  # seconds
_GROUPS = np.array([67, 137, 138, 1900, 3702, 5353, 5355])  # ports at which many are called at once: DHCP, mDNS, …


def flow_traffic(seed: int, seconds: float = 900.0, step: float = 0.5, hosts: int = 300) -> Iterator[Labelled]:
    """A quarter of an hour at the sensor. Attackers are a tenth of the hosts."""
    rng = np.random.default_rng((seed, 3))
    tracks: list[Track] = []
    for number in range(hosts):
        tracks += _desktop(rng, f"10.1.{number // 250}.{number % 250}", seconds)
        if number % 5 == 0:
            tracks.append(_server(rng, number, seconds))
        if number % 20 == 0:
            tracks += [_monitor(rng, number, seconds), _broken(rng, number, seconds)]
        if number % 10 == 0:
            tracks += _scanner(rng, number, seconds)
    return play(tracks, step)


def _desktop(rng: Generator, address: str, seconds: float) -> list[Track]:
    """A desk, and most often a system that calls out to its neighbours."""
    desk = _desk(rng, address, seconds)
    calls = len(desk.times) > 0 and rng.random() < 0.7
    return [desk, _calls(rng, address, float(desk.times[-1]) - OPENING)] if calls else [desk]


def _calls(rng: Generator, address: str, until: float) -> Track:
    """To groups, many when the host wakes and some now and then. Nobody answers one who calls all."""
    wakes = np.append(0.0, rng.uniform(0, until, int(rng.integers(3))))
    bursts = [wake + rng.exponential(rng.uniform(2, 10), int(rng.integers(4, 25))) for wake in wakes]
    times = np.sort(np.concatenate([*bursts, rng.uniform(0, until, rng.poisson(until / rng.uniform(30, 300)))]))
    own = rng.choice(len(_GROUPS), int(rng.integers(2, len(_GROUPS) + 1)), replace=False)
    groups = rng.choice(own, len(times))
    track = _track(rng, address, times, 60_010 + groups, _GROUPS[groups], np.full(len(times), UNANSWERED))
    said = rng.lognormal(5.0, 1.0, len(times)).astype(np.int64)  # datagrams carry content though nobody answers
    return replace(track, numbers=track.numbers | {"bytes_in": said + np.asarray(track.numbers["bytes_in"], np.int64)})


def _desk(rng: Generator, address: str, seconds: float) -> Track:
    """A workstation: a browser's bursts to many services, few failures; and one or two hosts that are worked on."""
    times = pace.person(rng, float(rng.uniform(_MINUTE, seconds)))
    peers, ports = rng.integers(0, int(rng.integers(3, 60)), len(times)), rng.choice(_SERVICES, len(times))
    peers = np.where(np.isin(ports, _REMOTE), peers % int(rng.integers(1, 3)), peers)
    return _track(rng, address, times, peers, ports, _mostly(rng, len(times), 0.03))


def _server(rng: Generator, number: int, seconds: float) -> Track:
    """A service calling its few backends at a steady, high rate."""
    rate = pace.log_uniform(rng, 0.5, 40)
    times = pace.machine(rng, rate, int(min(1500, rate * seconds)), "random")
    peers = rng.integers(0, int(rng.integers(1, 8)), len(times))
    ports = rng.choice(_SERVICES[: int(rng.integers(1, 5))], len(times))
    return _track(rng, f"10.2.{number // 250}.{number % 250}", times, peers, ports, _mostly(rng, len(times), 0.01))


def _monitor(rng: Generator, number: int, seconds: float) -> Track:
    """Health checks: the same many peers over and over, some of them down."""
    size = int(rng.integers(10, 150))
    times = pace.machine(rng, pace.log_uniform(rng, 2, 20), 800, "regular")
    peers = np.arange(800) % size
    down = (rng.random(size) < 0.05)[peers] | (rng.random(800) < 0.01)
    address = f"10.3.{number // 250}.{number % 250}"
    return _track(rng, address, times, peers, np.full(800, 443), failures(rng, down))


def _broken(rng: Generator, number: int, seconds: float) -> Track:
    """A client whose one server is down: it fails at every try, on one port."""
    times = pace.machine(rng, pace.log_uniform(rng, 0.2, 10), 200, "varying")
    ends = np.full(200, rng.choice([UNANSWERED, REFUSED]))
    address = f"10.4.{number // 250}.{number % 250}"
    return _track(rng, address, times, np.zeros(200, np.int64), np.full(200, 5432), ends)


def _scanner(rng: Generator, number: int, seconds: float) -> list[Track]:
    """Vertical (many ports of one peer) or horizontal (one port of many peers), fast or slow; what does not answer may
    be tried again. Half do as desks do until it is over, some of the others ask a resolver first."""
    rate = pace.log_uniform(rng, 0.2, 200)
    count = int(np.clip(rate * 60, pace.log_uniform(rng, 20, 100), 800))
    address = f"10.5.{number // 250}.{number % 250}"
    times = pace.machine(rng, rate, count, pace.RHYTHMS[int(rng.integers(3))]) + rng.uniform(0, seconds / 3)
    beside = rng.random()
    if beside < 0.5 and times[0] > _MINUTE:
        return [_scan(rng, address, times), _desk(rng, address, float(times[-1]))]
    return [_scan(rng, address, times), *([_lookups(rng, address, float(times[0]))] if beside > 0.75 else [])]


def _scan(rng: Generator, address: str, times: Numbers) -> Track:
    """What answers is closed again without a word, or asked what it is."""
    count, vertical = len(times), rng.random() < 0.5
    again = rng.random(count) < rng.choice([0.0, rng.uniform(0, 0.5)])
    targets = np.maximum(0, np.arange(count) - again.cumsum())
    peers = np.zeros(count, np.int64) if vertical else rng.permutation(60_000)[targets]
    ports = rng.permutation(65_000)[targets] + 1 if vertical else np.full(count, rng.choice(_SERVICES))
    ends = failures(rng, (rng.random(count) < rng.uniform(0.6, 1.0))[targets])
    asks = rng.random() < 0.5
    if not asks:
        ends[ends == DONE] = BROKEN_OFF
    return _track(rng, address, times, peers, ports, ends, size=0.1 * asks, hostile=True)


def _lookups(rng: Generator, address: str, until: float) -> Track:
    """A few names, resolved in the seconds before."""
    count = int(rng.integers(1, 8))
    times = np.sort(until - rng.exponential(3.0, count))
    return _track(rng, address, times, np.full(count, 60_001), np.full(count, 53), np.full(count, DONE))


def _mostly(rng: Generator, count: int, failing: float) -> Ends:
    """How flows end of which some fail, and a few are broken off when all is said (as browsers do)."""
    ends = failures(rng, rng.random(count) < failing)
    ends[(ends == DONE) & (rng.random(count) < rng.choice([0.0, rng.uniform(0, 0.2)]))] = BROKEN_OFF
    return ends


def _track(
    rng: Generator,
    address: str,
    times: Numbers,
    peers: Codes,
    ports: Codes,
    ends: Ends,
    *,
    size: float = 1.0,
    hostile: bool = False,
) -> Track:
    """Flows of one host; `size`: what it says and is told, beside what is usual."""
    count = len(times)
    sensor = Sensor.drawn(rng, str(rng.choice(["zeek", "eve"])))
    sizes = size * np.where(ports == 53, 0.06, 1.0)  # a name and its address are short
    sent, received = (sizes * rng.lognormal(mean, sigma, count) for mean, sigma in ((6.5, 1.0), (8.0, 1.5)))
    trip = pace.log_uniform(rng, 0.0002, 0.3)
    told = sensor.numbers(rng, ends, sent, received, size * rng.exponential(2.0, count), trip)
    return Track(
        times=OPENING + times,
        hostile=np.full(count, hostile),
        kind=Kind.FLOW,
        source=f"{sensor.name}:branch-1",
        address=address,
        action=("tcp",) * count,
        outcome=sensor.words(ends),
        peer=[f"172.{16 + peer // 65536}.{peer // 256 % 256}.{peer % 256}" for peer in peers.tolist()],
        numbers={"port": ports, **told},
    )
