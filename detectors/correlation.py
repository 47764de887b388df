"""Weak signals add up: what detectors say of one entity, joined with who is behind it, over the stages of an attack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

import msgspec

from detectors.detector import State
from detectors.entities import Behind, Entities
from detectors.features.hashing import KEY
from detectors.judgement import verdict_id
from detectors.stages import Case, Entity, Stage, Stages, corroborated, probability
from detectors.tactics import TACTICS, tactic
from detectors.verdict import SubjectKind, Verdict
from telemetry import EventBatch

NAME = "correlation"
REVISION = "rule:stages"
THRESHOLD = 0.9  # two verdicts in stages of their own, or one and two scores that nearly were
_CASES = 16_384
_QUOTED = 256  # characters of a signal's own evidence
_LATEST = 1e11  # Unix seconds; beyond it a time is nonsense


class Correlation:
    """Says of each verdict who is behind it, and of each entity when its stages of a day add up to an attack."""

    def __init__(self, capacity: int = 16_384, key: int = KEY) -> None:
        self.entities = Entities(capacity, key)
        self._stages = Stages(min(capacity, _CASES))
        self._touched: dict[Entity, None] = {}

    def learn(self, batches: Iterable[EventBatch]) -> None:
        """Take in what says who is where: batches in the order of time."""
        for batch in batches:
            self.entities.learn(batch)

    def joined(self, verdicts: Sequence[Verdict], moment: float) -> list[Verdict]:
        """The verdicts with who was behind their subjects at a moment (Unix seconds); each counts as a stage from now
        on. One whose score is below its threshold is a hint: it counts, and is not told.
        """
        found = self.entities.behind([(verdict.kind, verdict.subject) for verdict in verdicts], moment)
        pairs = list(zip(verdicts, found, strict=True))
        for verdict, behind in pairs:
            self._note(verdict, behind, moment)
        return [_with(verdict, behind) for verdict, behind in pairs if verdict.score >= verdict.threshold]

    def told(self, now: float) -> list[Verdict]:
        """Verdicts on those whose stages add up since the last call; again when another stage comes to them."""
        touched, self._touched = self._touched, {}
        cases = [(entity, self._stages.cases[entity]) for entity in touched if entity in self._stages.cases]
        return [_verdict(entity, case.current(), now) for entity, case in cases if _due(case)]

    def states(self) -> dict[str, State]:
        """What each part knows, by name."""
        return {Entities.name: self.entities.state(), "stages": self._stages.state()}

    def restore(self, states: Mapping[str, State]) -> None:
        """Go on from the `states` of another one; a part that was not there begins anew."""
        for name, part in ((Entities.name, self.entities), ("stages", self._stages)):
            if name in states:
                part.restore(states[name])

    def _note(self, verdict: Verdict, found: Behind, moment: float) -> None:
        served = tactic(verdict.technique)
        if not served:
            return
        entity, confidence = _whose(verdict, found)
        if found.principal:
            self._stages.move((verdict.kind, verdict.subject), entity, found.since, confidence)
        stage = Stage(
            tactic=served,
            technique=verdict.technique,
            detector=verdict.detector,
            score=verdict.score,
            threshold=verdict.threshold,
            confidence=confidence,
            since=moment,
            time=moment,
            words=(verdict.evidence or ("",))[0][:_QUOTED],
            address=verdict.address,
            session=verdict.session,
        )
        self._stages.note(entity, stage)
        self._touched[entity] = None


def _with(verdict: Verdict, found: Behind) -> Verdict:
    if not found.evidence:
        return verdict
    evidence = (*verdict.evidence, *found.evidence)
    return msgspec.structs.replace(verdict, behind=found.principal, confidence=found.confidence, evidence=evidence)


def _whose(verdict: Verdict, found: Behind) -> tuple[Entity, float]:
    """Whom a signal is about, and how surely. A place that several share is about each of them a little."""
    if verdict.kind in ("principal", "actor"):
        return ("principal", verdict.subject), 1.0
    if found.principal:
        return ("principal", found.principal), found.confidence
    return (verdict.kind, verdict.subject), 1 / found.crowd


def _due(case: Case) -> bool:
    """Whether there is more to tell than was told."""
    stages = case.current()
    if probability(stages) < THRESHOLD or not corroborated(stages):
        case.told = 0
        return False
    before, case.told = min(case.told, len(stages)), len(stages)
    return len(stages) > before


def _verdict(entity: Entity, stages: list[Stage], now: float) -> Verdict:
    kind, subject = _kind(entity), entity[1]
    latest = max(stages, key=lambda stage: stage.time)
    furthest = max(stages, key=lambda stage: TACTICS.index(stage.tactic))
    return Verdict(
        id=verdict_id(NAME, kind, subject, now, REVISION),
        time=now,
        detector=NAME,
        kind=kind,
        subject=subject,
        score=probability(stages),
        threshold=THRESHOLD,
        evidence=(_summary(stages), *map(_words, stages)),
        technique=furthest.technique,
        model=REVISION,
        since=stages[0].since,
        address=latest.address,
        session=latest.session,
        behind=subject if entity[0] == "principal" else "",
        confidence=min(stage.confidence for stage in stages) if entity[0] == "principal" else 0.0,
    )


def _kind(entity: Entity) -> SubjectKind:
    kind, subject = entity
    if kind == "principal" and subject.startswith("agent:"):
        return "actor"
    return cast(SubjectKind, kind)


def _summary(stages: list[Stage]) -> str:
    within = (max(stage.time for stage in stages) - stages[0].since) / 60
    span = f"{within:.0f} min" if within < 120 else f"{within / 60:.0f} h"
    return f"{len(stages)} stages of an attack within {span}: {', '.join(stage.tactic for stage in stages)}"


def _words(stage: Stage) -> str:
    at = datetime.fromtimestamp(min(max(stage.since, 0.0), _LATEST), UTC)
    joined = f", about them with confidence {stage.confidence:.2f}" if stage.confidence < 1 else ""
    weak = "" if stage.told else f", below its threshold {stage.threshold:.2f}"
    said = f"{at:%H:%M:%S} UTC {stage.tactic} ({stage.technique}) by {stage.detector} {stage.score:.2f}{weak}{joined}"
    return f"{said}: {stage.words}"
