"""The card beside a model: what it is, where it comes from, how good it is, and the hash that seals it."""

from __future__ import annotations

import hashlib

import msgspec


class Schema(msgspec.Struct, frozen=True):
    """What a model reads. Another order, name or meaning of features is another schema."""

    name: str  # "access", "flow"
    version: int  # raised when a feature changes its meaning but not its name
    features: tuple[str, ...]


class Calibration(msgspec.Struct, frozen=True):
    """Platt's sigmoid: probability = 1 / (1 + exp(-(slope * margin + offset)))."""

    slope: float
    offset: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Counted by subject: one is caught, or falsely accused, if it ever reaches the threshold."""

    attackers: int
    caught: int
    honest: int
    accused: int
    events_until_caught: float  # of the attacker's own, median
    events_until_caught_p95: float
    seconds_until_caught: float  # from its first hostile event, median
    seconds_until_caught_p95: float

    @property
    def true_positive_rate(self) -> float:
        """Share of the attackers that was caught."""
        return self.caught / max(1, self.attackers)

    @property
    def false_positive_rate(self) -> float:
        """Share of the honest that was accused."""
        return self.accused / max(1, self.honest)


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was made from. Each part of the traffic has a seed of its own."""

    seed: int
    simulator: str  # its version
    xgboost: str
    parameters: dict[str, float | int | str]
    rows: int  # of training


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """`revision` seals the rest and the model's bytes: change either and it no longer fits."""

    schema: Schema
    sha256: str  # of the model file
    threshold: float  # chosen on validation traffic, before the test traffic was looked at
    calibration: Calibration
    lineage: Lineage
    validation: Evaluation
    test: Evaluation
    revision: str = ""

    def seal(self) -> str:
        """The revision that fits this card."""
        body = _ENCODER.encode(msgspec.structs.replace(self, revision=""))
        return f"{self.schema.name}-{hashlib.sha256(body).hexdigest()[:12]}"


_ENCODER = msgspec.json.Encoder(order="deterministic")
