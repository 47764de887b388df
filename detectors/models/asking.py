"""How an address' questions are judged: a model says which names are strange, a rule when they are too many."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU
from detectors.features import Groups, by_address
from detectors.features.asked import AskedFeatures, Rows
from detectors.features.hashing import KEY, Hashes
from detectors.models.model import Model
from detectors.models.name_memory import NameMemory
from detectors.models.naming import NameModel
from telemetry import EventBatch

THRESHOLD = 0.8
_NAMES = 131_072  # remembered, at least
_STRANGE, _LOST = 0.02, 0.02  # of an honest address' new names: strange ones; likely made ones that do not exist
_FLOOR = 0.5  # of either that anybody may have
_DOUBT = 11.5  # nats: of a hundred thousand addresses at a time one may be so by chance
Numbers = NDArray[np.float64]


class Asking:
    """A model judges each registered name once; a rule, how unlikely so many strange ones are by chance.

    Ordinary names are strange now and then, so that their number is that of a Poisson process: it reaches k where m are
    expected with a probability below exp(-(k ln(k / m) - k + m)) (Chernoff 1952).
    """

    def __init__(self, model: Model, capacity: int = 16_384, key: int = KEY) -> None:
        self._key = key
        self.features = AskedFeatures(capacity, key)
        self._remembering = partial(NameMemory, capacity=max(capacity, _NAMES), key=key, quotes=self.features.quotes)
        self.adopt(model)

    def adopt(self, model: Model) -> None:
        """Judge names by this model from here on; what addresses asked for stays. Raises ModelRefused."""
        self.model = NameModel.of(model)
        self._memory = self._remembering(self.model)
        self._latest: tuple[EventBatch, Groups] | None = None

    @property
    def scored(self) -> int:
        """Names that the present model was asked about."""
        return self._memory.scored

    def learn(self, batch: EventBatch) -> None:
        """Take in questions and answers of addresses."""
        judged = self._memory.judge(batch)
        rows = Rows(judged.registered, judged.chance >= self.model.strange, judged.chance >= self.model.likely)
        self._latest = batch, self.features.learn(batch, rows)

    def of(self, batch: EventBatch) -> tuple[Groups, NDArray[np.float32]]:
        """The source addresses of a batch, and [addresses, 1] how likely each is hostile, 0 to 1."""
        latest = self._latest
        groups = latest[1] if latest and batch is latest[0] else by_address(batch, CPU, self._key)
        return groups, self.values(groups.hashes).astype(np.float32)[:, None]

    def values(self, hashes: Hashes) -> Numbers:
        """[hashes] 0 to 1 of each address."""
        new, strange, lost = self.features.counts(hashes).T
        unlikely = np.maximum(_unlikely(strange, _FLOOR + _STRANGE * new), _unlikely(lost, _FLOOR + _LOST * new))
        values: Numbers = 0.5 * (1.0 + np.tanh(0.5 * (unlikely - _DOUBT)))
        return values

    def state(self) -> Mapping[str, NDArray[Any]]:
        """What is known of each address."""
        return self.features.state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a `state`."""
        self.features.restore(state)
        self._latest = None


def _unlikely(count: Numbers, expected: Numbers) -> Numbers:
    """Nats: -ln of a bound on the chance that so many, or more, come where some are expected."""
    more = np.maximum(count, expected)
    bound: Numbers = more * np.log(more / expected) - more + expected
    return bound
