"""Labelled questions for names: who asked what, and how a model of names judges them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detectors.features.labels import registered
from detectors.models.asking import THRESHOLD, Asking
from detectors.models.card import Evaluation
from detectors.models.evaluation import tally, watch
from detectors.models.model import Model
from detectors.simulator import Labelled
from detectors.simulator.names import NamesOf


@dataclass(frozen=True, slots=True)
class Heard:
    """Labelled questions, kept."""

    traffic: Sequence[Labelled]

    @classmethod
    def of(cls, traffic: Iterable[Labelled]) -> Heard:
        """Hold all of it."""
        return cls(tuple(traffic))

    def judged(self, model: Model) -> Evaluation:
        """Counted by address, as the detector does with this model."""
        samples = watch(Asking(model), self.traffic)
        return tally(samples.matrix[:, 0] >= THRESHOLD, samples)

    def origins(self) -> list[NamesOf]:
        """What is registered of the names: a family for each address with hostile questions, and all others together.

        A name that anybody asked for honestly is nobody's.
        """
        honest, hostile = set[str](), defaultdict[str, set[str]](set)
        for labelled in self.traffic:
            asked = zip(labelled.batch.resource, labelled.batch.address, labelled.hostile.tolist(), strict=True)
            for name, address, bad in set(asked):
                (hostile[address] if bad else honest).add(registered(name))
        honest.discard("")
        families = [
            NamesOf(address, tuple(sorted(made)), True)
            for address, names in sorted(hostile.items())
            if (made := names - honest - {""})
        ]
        return [NamesOf("people", tuple(sorted(honest)), False), *families]
