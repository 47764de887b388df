"""A revision beside the one in force, on traffic that neither was trained on; and the rule by which it is worse."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from detectors.models.card import Evaluation, Traffic
from detectors.models.model import Model
from detectors.models.refused import DataRefused
from detectors.models.tasks import TASKS
from detectors.models.traffic import Stretch

MISSED, ACCUSED, SLOWER = 0.01, 0.001, 1.25  # how much less good is still no worse: see `worse`


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an evaluation said; a shelf signs it."""

    revision: str
    against: str  # the revision in force then, empty if none was
    time: float  # Unix seconds
    traffic: Traffic
    result: Evaluation
    standing: Evaluation | None  # of the one in force
    worse: tuple[str, ...]  # why it is, in words; empty if it is not


def compare(candidate: Model, in_force: Model | None, stretch: Stretch, now: float) -> Comparison:
    """Judge both on the same traffic.

    Raises DataRefused where it has no attacker or nobody honest, or one of them was trained on it.
    """
    seen, traffic = stretch.watched(TASKS[candidate.card.schema.name].watch, "test")
    for model in filter(None, (candidate, in_force)):
        _refuse_known(model, stretch, traffic)
    result, standing = seen.judged(candidate), seen.judged(in_force) if in_force else None
    if not result.attackers or not result.honest:
        raise DataRefused(f"{traffic.source}: {'nobody honest' if result.attackers else 'no attacker'} in it")
    return Comparison(
        revision=candidate.card.revision,
        against=in_force.card.revision if in_force else "",
        time=now,
        traffic=traffic,
        result=result,
        standing=standing,
        worse=tuple(worse(result, standing)) if standing else (),
    )


def _refuse_known(model: Model, stretch: Stretch, traffic: Traffic) -> None:
    lineage = model.card.lineage
    files = {file.sha256 for file in lineage.files} & {file.sha256 for file in stretch.files}
    if files or traffic.sha256 in {part.sha256 for part in lineage.traffic}:
        raise DataRefused(f"{traffic.source}: {model.card.revision} was trained on it")


def worse(one: Evaluation, standing: Evaluation) -> Iterator[str]:
    """Why a result is worse than that of the revision in force. It is if it

    - catches a smaller share of the attackers, by more than 1 in 100,
    - accuses a larger share of the honest, by more than 1 in 1,000,
    - needs more events of the median attacker to catch it, by more than a quarter and more than one.
    """
    if one.true_positive_rate < standing.true_positive_rate - MISSED:
        yield f"it catches {one.true_positive_rate:.1%} of the attackers, the other {standing.true_positive_rate:.1%}"
    if one.false_positive_rate > standing.false_positive_rate + ACCUSED:
        yield f"it accuses {one.false_positive_rate:.2%} of the honest, the other {standing.false_positive_rate:.2%}"
    mine, its = one.events_until_caught, standing.events_until_caught
    if mine is not None and its is not None and mine > max(its * SLOWER, its + 1):
        yield f"it needs {mine:g} events to catch the median attacker, the other {its:g}"
