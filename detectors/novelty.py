"""Says who does what has never been seen: operations that nobody does, from new places, at unusual times.

Unsupervised: it learns what is usual while it watches, and nothing of who is strange. What is unusual is mostly
harmless: it accuses nobody by itself, but adds to what other detectors say of the same actor (`correlation`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.detector import NO_SCORES, Mask, Scores, State, of_kind
from detectors.features import blank
from detectors.features.habits import SCALE, Habits
from detectors.features.hashing import KEY
from detectors.judgement import verdict_id
from detectors.verdict import SubjectKind, Verdict
from telemetry import EventBatch, Kind

REVISION = "unsupervised:habits"
VALID_ACCOUNTS = "T1078"  # what an attacker with somebody's credentials does looks like that
_SURE = 33.0  # a sum of surprises as that of a chance of one in 10^14; a third of it is notable
_HIGHEST = 0.99  # below the threshold: it hints
_TOLD = 2.0  # a surprise that is worth a word


class NoveltyDetector:
    """Each actor by the surprises of its last ten minutes (`Habits`)."""

    name = "novelty"
    kind = Kind.REQUEST
    threshold = 1.0

    def __init__(self, capacity: int = 16_384, key: int = KEY) -> None:
        self.capacity = capacity
        self._habits = Habits(capacity, key)

    def mine(self, batch: EventBatch) -> Mask:
        """Requests of somebody."""
        return of_kind(batch, self.kind) & ~blank(batch.actor)

    def learn(self, batch: EventBatch) -> None:
        """Take in requests."""
        if len(batch):
            self._habits.learn(batch)

    def score(self, batch: EventBatch) -> Scores:
        """Each actor of the batch; of very many, those that were read."""
        if not len(batch):
            return NO_SCORES
        actors, rows = self._habits.of(batch)
        return Scores(actors, np.minimum(self._habits.surprise(actors).sum(axis=1) / _SURE, _HIGHEST), rows)

    def state(self) -> State:
        """What is usual, and what each actor does."""
        return self._habits.state()

    def restore(self, state: State) -> None:
        """Go on from a `state`."""
        self._habits.restore(state)

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Hints that say what surprised."""
        surprises, since = self._habits.surprise(scores.hashes), self._habits.since(scores.hashes)
        return [
            self._hint(scores, place, batch, now, surprises[place], float(since[place])) for place in range(len(scores))
        ]

    def _hint(
        self, scores: Scores, place: int, batch: EventBatch, now: float, surprises: NDArray[np.float64], since: float
    ) -> Verdict:
        row = int(scores.rows[place])
        actor, subject = batch.actor.text(row), batch.subject.text(row)
        kind: SubjectKind = "actor" if actor.startswith("agent:") or subject not in ("", actor) else "principal"
        return Verdict(
            id=verdict_id(self.name, kind, actor, now, REVISION),
            time=now,
            detector=self.name,
            kind=kind,
            subject=actor,
            score=float(scores.values[place]),
            threshold=self.threshold,
            evidence=_words(surprises, batch, row),
            technique=VALID_ACCOUNTS,
            model=REVISION,
            since=since,
            on_behalf_of=subject if kind == "actor" and subject != actor else "",
            address=batch.address.text(row),
            session=batch.session.text(row),
        )


def _words(surprises: NDArray[np.float64], batch: EventBatch, row: int) -> tuple[str, ...]:
    within = f"in the last {SCALE / 60:.0f} min"
    done = f"{batch.action.text(row)} {batch.resource.text(row)}"
    told = (
        f"did {within} what hardly anybody does who uses the service, and it never did; last {done}",
        f"came {within} from places that are new to it; last {batch.address.text(row)}",
        "is there at a time of day at which it never is",
    )
    order = np.argsort(-surprises, kind="stable").tolist()
    said = tuple(told[place] for place in order if surprises[place] >= _TOLD)
    return said or (told[order[0]],)
