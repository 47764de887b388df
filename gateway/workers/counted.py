"""Counters of all processes as one: what judges have counted is added to what the gateway has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from prometheus_client import REGISTRY, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Sample

_OURS = "portcullis_"
_ADDED = ("counter", "histogram")  # a gauge of a judge's is the gateway's own, once more


class Count(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One sample."""

    family: str
    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Together(Collector):
    """All metrics of the gateway, and the judges' counts with them. What a judge had counted stays when it ends."""

    def __init__(self, own: CollectorRegistry = REGISTRY) -> None:
        self._own = own
        self._ended: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
        self._living: dict[object, Sequence[Count]] = {}

    def counted(self, judge: object, counts: Sequence[Count]) -> None:
        """What a judge has counted, in all."""
        self._living[judge] = counts

    def ended(self, judge: object) -> None:
        """It counts no more."""
        for each in self._living.pop(judge, ()):
            key = (each.family, each.name, each.labels)
            self._ended[key] = self._ended.get(key, 0.0) + each.value

    def collect(self) -> Iterator[Metric]:
        """The gateway's metrics, as its own registry tells them, with the sums."""
        sums = self._sums()
        for family in self._own.collect():
            told = Metric(family.name, family.documentation, family.type, family.unit)
            for sample in family.samples:
                more = sums.pop((family.name, sample.name, tuple(sample.labels.items())), 0.0)
                told.samples.append(sample._replace(value=sample.value + more))
            for key in [key for key in sums if key[0] == family.name]:
                told.samples.append(Sample(key[1], dict(key[2]), sums.pop(key)))
            yield told

    def _sums(self) -> dict[tuple[str, str, tuple[tuple[str, str], ...]], float]:
        sums = dict(self._ended)
        for counts in self._living.values():
            for each in counts:
                key = (each.family, each.name, each.labels)
                sums[key] = sums.get(key, 0.0) + each.value
        return sums


def counts_of(registry: CollectorRegistry = REGISTRY) -> Iterable[Count]:
    """All that this process has counted and that is more than nothing."""
    for family in registry.collect():
        if family.type in _ADDED and family.name.startswith(_OURS):
            for sample in family.samples:
                if sample.value and not sample.name.endswith("_created"):
                    yield Count(family.name, sample.name, tuple(sample.labels.items()), sample.value)
