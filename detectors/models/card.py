"""The card beside a model: what it is and is for, where it comes from, how good it is, and what it does not see.

After Mitchell et al., "Model Cards for Model Reporting" (2019). The card holds the model's hash, and a signature is
over the card: who alters either is found.
"""

from __future__ import annotations

import hashlib
import math
from typing import Literal

import msgspec

_Z = 1.959964  # of a normal distribution, 95 % lie within so many standard deviations
FORMAT = 2  # of the card itself; a card of another format is refused


class Schema(msgspec.Struct, frozen=True):
    """What a model reads. Another order, name or meaning of features is another schema."""

    name: str  # "access", "flow"
    version: int  # raised when a feature changes its meaning but not its name
    features: tuple[str, ...]


class Calibration(msgspec.Struct, frozen=True):
    """Platt's sigmoid: probability = 1 / (1 + exp(-(slope * margin + offset)))."""

    slope: float
    offset: float


class Bin(msgspec.Struct, frozen=True):
    """Rows whose chance lies in one tenth of 0 to 1."""

    rows: int
    chance: float  # mean of what the model said
    hostile: float  # share that was


class Reliability(msgspec.Struct, frozen=True):
    """How far calibrated chances are from how often it happens. Rows of one subject are not independent."""

    error: float  # expected calibration error (Guo et al. 2017): mean distance of the two, weighted by rows
    bins: tuple[Bin, ...]  # those that have rows, lowest chance first


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Counted by subject: one is caught, or falsely accused, if it ever reaches the threshold."""

    attackers: int
    caught: int
    honest: int
    accused: int
    events_until_caught: float | None  # of the attacker's own, median; None where none was caught, as the next three
    events_until_caught_p95: float | None
    seconds_until_caught: float | None  # from its first hostile event, median
    seconds_until_caught_p95: float | None

    @property
    def true_positive_rate(self) -> float:
        """Share of the attackers that was caught."""
        return self.caught / max(1, self.attackers)

    @property
    def false_positive_rate(self) -> float:
        """Share of the honest that was accused."""
        return self.accused / max(1, self.honest)


def wilson(count: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share that was counted (Wilson 1927); from 0 to 1 where there was nothing to count."""
    if not of:
        return 0.0, 1.0
    share, spread = count / of, _Z * _Z / of
    middle = (share + spread / 2) / (1 + spread)
    reach = _Z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, middle - reach), min(1.0, middle + reach)


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """One part of what a model was made from."""

    part: Literal["training", "validation", "test"]
    source: str  # "simulator 1, seed 10"; names of files
    sha256: str  # of its batches with their labels, in order
    events: int
    hostile: int  # of these


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of labelled events."""

    name: str
    sha256: str  # of the file as it lies
    labels: str  # SHA-256 of the labels beside it
    events: int  # that were read and could be used
    hostile: int  # of these
    left_out: dict[str, int]  # lines and rows that could not, by reason


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was made from. Same lineage, same bytes, on the same libraries and one thread."""

    seed: int
    simulator: str  # its version; empty for recorded data
    libraries: dict[str, str]  # versions
    parameters: dict[str, float | int | str]
    rows: int  # of training: a subject's features at one moment each, as many of both classes as there are, to a limit
    traffic: tuple[Traffic, ...]
    files: tuple[DataFile, ...] = ()


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`revision` is made of all the rest, the model's hash among it."""

    format: int = FORMAT
    schema: Schema
    sha256: str  # of the model file
    threshold: float  # chosen on validation traffic, before the test traffic was looked at
    threshold_choice: str  # how, in words
    calibration: Calibration  # fitted on validation traffic
    reliability: Reliability  # on test traffic
    lineage: Lineage
    validation: Evaluation
    test: Evaluation
    intended_use: str
    limits: tuple[str, ...]  # what it is known not to see
    revision: str = ""

    def seal(self) -> str:
        """The revision that fits this card."""
        body = _ENCODER.encode(msgspec.structs.replace(self, revision=""))
        return f"{self.schema.name}-{hashlib.sha256(body).hexdigest()[:12]}"

    def sealed(self) -> Card:
        """The same card, with its revision."""
        return msgspec.structs.replace(self, revision=self.seal())


_ENCODER = msgspec.json.Encoder(order="deterministic")
