"""From what was found in each round to figures and ratios: always the median over rounds, a ratio within each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.edges.closed_loop import Load
from bench.edges.open_loop import Latency
from bench.edges.side import ENVOY
from bench.edges.variant import Variant

OURS = ("cached", "judged")
PLAIN = "plain"
Numbers = dict[str, float]


@dataclass(frozen=True)
class Waits:
    """At half of what a side carries: its own, and plain's at the same rate, in the order of rounds."""

    rate: float  # requests a second
    side: list[Latency]
    plain: list[Latency]


@dataclass(frozen=True)
class Found:
    """Of one variant, by side and in the order of rounds."""

    variant: Variant
    loads: dict[str, list[Load]]
    waits: dict[str, Waits] = field(default_factory=dict)


def figures(found: Found) -> Numbers:
    """Throughput and CPU time of each side, what requests waited at half load, and how far ratios lie apart."""
    numbers: Numbers = {}
    for name, loads in found.loads.items():
        numbers[f"{name}_per_second"] = median(load.rate for load in loads)
        for role in loads[0].cpu_us:
            numbers[f"{name}_{role}_cpu_us"] = median(load.cpu_us.get(role, 0.0) for load in loads)
    for name, ratios in _by_rate(found).items():
        numbers |= {f"{name}_min": min(ratios), f"{name}_max": max(ratios)}
    return _named(numbers | _waits(found), found.variant)


def ratios(found: Found) -> Numbers:
    """Ours against each peer: above 1 is in our favour. `_cpu` is Envoy's own CPU time for a request, `_all_cpu` that
    of all processes of a side, the peer's over ours.
    """
    every = _by_rate(found)
    every |= _compared(found, "_cpu", lambda load: 1 / load.cpu_us[ENVOY])
    every |= _compared(found, "_all_cpu", lambda load: 1 / sum(load.cpu_us.values()))
    return _named({name: median(each) for name, each in every.items()}, found.variant)


def _waits(found: Found) -> Numbers:
    numbers: Numbers = {}
    for name, waits in found.waits.items():
        numbers[f"{name}_half_per_second"] = waits.rate
        numbers[f"{name}_half_carried"] = median(wait.carried for wait in waits.side)
        for share in ("p50_us", "p99_us"):
            pairs = [
                (getattr(one, share), getattr(plain, share)) for one, plain in zip(waits.side, waits.plain, strict=True)
            ]
            numbers[f"{name}_half_{share}"] = median(one for one, _ in pairs)
            numbers[f"{name}_half_plain_{share}"] = median(plain for _, plain in pairs)
            numbers[f"{name}_added_{share}"] = median(one - plain for one, plain in pairs)
    return numbers


def _by_rate(found: Found) -> dict[str, list[float]]:
    return _compared(found, "", lambda load: load.rate)


def _compared(found: Found, ending: str, merit: Callable[[Load], float]) -> dict[str, list[float]]:
    """Merits of ours over those of each peer, round by round."""
    peers = [name for name in found.loads if name not in OURS]
    merits = {name: [merit(load) for load in loads] for name, loads in found.loads.items()}
    return {f"{ours}_vs_{peer}{ending}": _over(merits[ours], merits[peer]) for ours in OURS for peer in peers}


def _over(ours: Sequence[float], peers: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ours, peers, strict=True)]


def _named(numbers: Numbers, variant: Variant) -> Numbers:
    return {f"{name}{variant.suffix}": round(value, 3) for name, value in numbers.items()}
