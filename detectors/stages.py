"""Stages of an attack, gathered for each entity over a day: how likely they are together to be one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

DAY = 86_400.0  # seconds within which stages belong together
PRIOR = 1e-3  # of the entities that are told of at all, those that are attacked or attack on a given day
VERDICT = 100.0  # how many times likelier a verdict is where there is an attack; no more, whatever the score
HINT = 30.0  # the most of a score that stays below its threshold
NOTABLE = 0.3  # share of its threshold from which a score says anything
Entity = tuple[str, str]  # kind, id


class Stage(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The strongest signal of one tactic."""

    tactic: str
    technique: str
    detector: str
    score: float
    threshold: float
    confidence: float  # 0 to 1, that the entity is whom the signal is about
    since: float  # Unix seconds of the tactic's first signal
    time: float  # and of this one
    words: str
    address: str = ""
    session: str = ""

    @property
    def told(self) -> bool:
        """Whether it was a verdict."""
        return self.score >= self.threshold

    @property
    def ratio(self) -> float:
        """How many times likelier it is where there is an attack. As far as it may be about somebody else, it is 1."""
        share = (self.score / self.threshold - NOTABLE) / (1 - NOTABLE)
        likelier = VERDICT if self.told else HINT ** min(max(share, 0.0), 1.0)
        return float(1 + (likelier - 1) * self.confidence)


class Case(msgspec.Struct, array_like=True):
    """An entity's stages, one a tactic, and how many of them were told of."""

    stages: dict[str, Stage] = {}
    told: int = 0

    @property
    def latest(self) -> float:
        """Unix seconds of its latest signal."""
        return max((stage.time for stage in self.stages.values()), default=0.0)

    def add(self, stage: Stage) -> None:
        """A thousand signals of one tactic are one stage: the strongest of a day counts."""
        before = self.stages.get(stage.tactic)
        if before and stage.time - before.time < DAY:
            if stage.ratio < before.ratio:
                return
            stage = msgspec.structs.replace(stage, since=min(before.since, stage.since))
        self.stages[stage.tactic] = stage

    def current(self) -> list[Stage]:
        """Those of the last day, in the order of time."""
        latest = self.latest
        return sorted(
            (stage for stage in self.stages.values() if latest - stage.time < DAY), key=lambda stage: stage.since
        )


def probability(stages: Iterable[Stage]) -> float:
    """That there is an attack: stages are independent evidence, so their log odds add up."""
    odds = PRIOR / (1 - PRIOR) * float(np.prod([stage.ratio for stage in stages]))
    return odds / (1 + odds)


def corroborated(stages: list[Stage]) -> bool:
    """Whether they are of several tactics, and not the scores of one detector that itself does not call it hostile."""
    return len(stages) > 1 and (
        len({stage.detector for stage in stages}) > 1 or sum(stage.told for stage in stages) > 1
    )


class Stages:
    """Cases of at most `most` entities; the least likely are forgotten first, of these the longest silent."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self.cases: dict[Entity, Case] = {}

    def note(self, entity: Entity, stage: Stage) -> None:
        """Take in a signal about an entity."""
        self.cases.setdefault(entity, Case({})).add(stage)
        if len(self.cases) > self._most:
            self._forget(entity)

    def move(self, entity: Entity, to: Entity, since: float, confidence: float) -> None:
        """What was noted of an entity since a moment was about another one, with some confidence."""
        for stage in self.cases.pop(entity, Case({})).stages.values():
            if stage.since >= since:
                self.note(to, msgspec.structs.replace(stage, confidence=confidence))

    def state(self) -> dict[str, NDArray[Any]]:
        """For `restore`."""
        return {"cases": np.frombuffer(msgspec.msgpack.encode(list(self.cases.items())), np.uint8)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Know what another one did; of as many entities as fit, the likeliest."""
        self.cases = dict(_DECODER.decode(state["cases"].tobytes()))
        self._keep(self._most)

    def _forget(self, present: Entity) -> None:
        held = self.cases.pop(present)
        self._keep(self._most - max(1, self._most // 16))
        self.cases[present] = held

    def _keep(self, most: int) -> None:
        if len(self.cases) > most:
            ranked = sorted(self.cases.items(), key=lambda item: (probability(item[1].current()), item[1].latest))
            self.cases = dict(ranked[len(ranked) - most :])


_DECODER = msgspec.msgpack.Decoder(list[tuple[Entity, Case]])
