"""A site: hosts behind one sensor, their servers, and the outside that several of them ask; and the shape of a flow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from detectors.simulator.access import OPENING
from detectors.simulator.sensors import Sensor, failures
from detectors.simulator.tracks import Mask, Numbers, Track
from telemetry import Kind

_SENSORS = ("zeek", "eve", "sysmon")


@dataclass(slots=True)
class Site:
    """`seconds` of one site from `OPENING`. Outside addresses are everybody's, inside ones the site's own."""

    rng: Generator
    number: int
    size: int  # hosts
    seconds: float
    sensor: str = ""
    _outside: int = field(default=0)

    def __post_init__(self) -> None:
        self.sensor = str(self.rng.choice(_SENSORS, p=(0.5, 0.38, 0.12)))

    def host(self, number: int) -> str:
        """A desk's or server's address."""
        return f"10.{self.number}.{number // 200}.{number % 200 + 10}"

    def server(self, number: int) -> str:
        """One that many of the site ask."""
        return f"10.{self.number}.250.{number + 1}"

    def outside(self) -> str:
        """An address out there that nobody else was given."""
        self._outside += 1
        place = self.number * 20_000 + self._outside
        return f"{45 + place // 65536 % 100}.{place // 256 % 256}.{self.number % 250}.{place % 256}"

    def chance(self, probability: float) -> bool:
        """Whether something of that probability happens."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """A number whose order of magnitude is even."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def stretch(self, fewest: float = 0.02) -> tuple[float, float]:
        """From when to when somebody is there: often all the time."""
        if self.chance(0.5):
            return 0.0, self.seconds
        start = self.rng.uniform(0, 0.8) * self.seconds
        return float(start), float(min(self.seconds, start + self.rng.uniform(fewest, 0.6) * self.seconds))

    def flows(
        self,
        address: str,
        peers: str | list[str],
        port: int,
        times: Numbers,
        sent: Numbers | float,
        received: Numbers | float,
        lasted: Numbers | float = 0.2,
        *,
        failed: Mask | float = 0.0,
        hostile: bool = False,
        proto: str = "tcp",
    ) -> Track:
        """A track of flows within the stretch, in the words of the site's sensor; sizes are of the content."""
        keep = (times >= 0) & (times < self.seconds)
        count = int(keep.sum())
        fails = (self.rng.random(len(times)) < failed if isinstance(failed, float) else failed)[keep]
        ends, sensor = failures(self.rng, fails), Sensor.drawn(self.rng, self.sensor)
        in_, out, seconds = (np.broadcast_to(size, len(times))[keep] for size in (sent, received, lasted))
        trip = self.between(0.0002, 0.3)
        texts = [peers] * count if isinstance(peers, str) else [peers[row] for row in np.flatnonzero(keep).tolist()]
        return Track(
            times=OPENING + times[keep],
            hostile=np.full(count, hostile),
            kind=Kind.FLOW,
            source=f"{self.sensor}:site-{self.number}",
            address=address,
            action=(proto,) * count,
            outcome=sensor.words(ends),
            peer=texts,
            numbers={"port": np.full(count, port)} | sensor.numbers(self.rng, ends, in_, out, seconds, trip),
        )
