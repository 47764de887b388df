"""Names asked for at a resolver: people's machines, mail servers, clients whose one name is gone, and machines on which
an algorithm looks for its master.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.random import Generator

from detectors.simulator import pace
from detectors.simulator.access import OPENING
from detectors.simulator.names import NamesOf, simulated_names
from detectors.simulator.tracks import Labelled, Mask, Numbers, Track, play
from telemetry import Kind

_GONE = {"zeek": "NXDOMAIN", "eve": "NXDOMAIN", "windows": "9003"}
_THERE = {"zeek": "NOERROR", "eve": "NOERROR", "windows": "0"}
_INSIDE = ("wpad", "7.0.0.10.in-addr.arpa", "printer.local", "files.corp", "_ldap._tcp.dc.home")
_POPULAR = 400  # names that everybody asks for
_FRONTS = ("", "", "www.", "api.", "cdn.", "mail.", "static.img.")


def name_traffic(seed: int, seconds: float = 600.0, step: float = 1.0, families: int = 300) -> Iterator[Labelled]:
    """Ten minutes at the resolver: each family of algorithms on one machine, and as many machines that have none.

    Hostile is each question for a name that an algorithm made; the machine it runs on asks honestly for others.
    """
    people, *made = simulated_names(seed, families)
    rng = np.random.default_rng((seed, 11))
    own = np.array_split(np.array(people.names), 2 * families)
    tracks = [_infected(rng, number, family, seconds) for number, family in enumerate(made)]
    for number, names in enumerate(own):
        tracks.append(_desk(rng, number, people.names[:_POPULAR], names.tolist(), seconds))
    for number in range(max(1, families // 30)):
        tracks += [_mail(rng, number, people.names, seconds), _broken(rng, number, people.names, seconds)]
    return play(tracks, step)


def _desk(rng: Generator, number: int, popular: Sequence[str], own: Sequence[str], seconds: float) -> Track:
    """What everybody asks for, some names of its own, now and then one that is mistyped or inside the house.

    The first half of the desks are those on which an algorithm runs.
    """
    times = np.sort(rng.uniform(0, seconds, 120))
    common = rng.zipf(1.3, 120) % len(popular)
    names = [popular[place] for place in common.tolist()]
    for row, name in zip(rng.permutation(120).tolist(), own, strict=False):
        names[row] = name
    inside, typed = rng.random(120) < 0.05, rng.random(120) < 0.01
    for row in range(120):
        names[row] = _INSIDE[int(rng.integers(len(_INSIDE)))] if inside[row] else _fronted(rng, names[row])
    asked = [_mistyped(rng, name) if wrong else name for name, wrong in zip(names, typed.tolist(), strict=True)]
    return _track(rng, _address(number), times, asked, typed | inside)


def _mail(rng: Generator, number: int, names: Sequence[str], seconds: float) -> Track:
    """Whoever writes is looked up: many names, once each, and a twentieth of them gone."""
    asked = rng.choice(names, 600).tolist()
    times = np.sort(rng.uniform(0, seconds, 600))
    return _track(rng, f"10.7.0.{number}", times, asked, rng.random(600) < 0.05)


def _broken(rng: Generator, number: int, names: Sequence[str], seconds: float) -> Track:
    """The same few names over and over, none of them there."""
    asked = rng.choice(rng.choice(names, 3), 300).tolist()
    return _track(rng, f"10.8.0.{number}", np.sort(rng.uniform(0, seconds, 300)), asked, np.ones(300, np.bool_))


def _infected(rng: Generator, number: int, family: NamesOf, seconds: float) -> Track:
    """A family's names one after another, fast or slow; most of them nobody registered."""
    count = len(family.names)
    times = pace.machine(rng, pace.log_uniform(rng, 0.1, 20), count, pace.RHYTHMS[int(rng.integers(3))])
    gone = rng.random(count) < rng.uniform(0.5, 1.0)
    times = times + rng.uniform(0, seconds / 2)
    return _track(rng, _address(number), times, list(family.names), gone, hostile=True)


def _address(number: int) -> str:
    return f"10.6.{number // 250}.{number % 250}"


def _fronted(rng: Generator, name: str) -> str:
    return _FRONTS[int(rng.integers(len(_FRONTS)))] + name


def _mistyped(rng: Generator, name: str) -> str:
    place = int(rng.integers(len(name) - 3))
    return name[:place] + name[place + 1] + name[place] + name[place + 2 :]


def _track(
    rng: Generator, address: str, times: Numbers, names: list[str], gone: Mask, *, hostile: bool = False
) -> Track:
    sensor = str(rng.choice(list(_GONE)))
    return Track(
        times=OPENING + times,
        hostile=np.full(len(times), hostile),
        kind=Kind.DNS,
        source=f"{sensor}:branch-1",
        address=address,
        service="dns",
        resource=names,
        action=("A",) * len(times),
        outcome=[_GONE[sensor] if lost else _THERE[sensor] for lost in gone.tolist()],
    )
