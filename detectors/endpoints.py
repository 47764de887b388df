"""Judges principals, and hosts, by what endpoint agents and Windows' logs report: the steps of an attack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors import discovery
from detectors.attack_steps import STEPS, SURE, SUSPECT, Step
from detectors.detector import NO_SCORES, Mask, Scores, State, of_kind
from detectors.discovery import Bursts
from detectors.features import blank
from detectors.features.hashing import KEY, Hashes, hash_whole, mix
from detectors.features.table import known
from detectors.judgement import verdict_id
from detectors.step_rules import StepRules
from detectors.verdict import SubjectKind, Verdict
from telemetry import EventBatch, Kind, Words

REVISION = "rule:attack-steps"
_TECHNIQUE = r"\b(AML\.)?T\d{4}(\.\d{3})?\b"
_TOLD = Step("", "the agent says so", "", SURE, {"name": _TECHNIQUE})
_BURST = Step("", "a burst of discovery", "", SUSPECT, {})
_ALL = (*STEPS, _TOLD, _BURST)
_TOLD_AT, _BURST_AT = len(STEPS), len(STEPS) + 1
_TEXTS = 131_072  # of each column that are remembered, and with it the most rows at once
_QUOTED = 256  # characters of a column in a verdict
_READ = ("name", "action", "service", "resource")  # columns that a verdict quotes


class _Found(NamedTuple):
    """Steps in a batch, [n] each."""

    rows: NDArray[np.int64]
    steps: NDArray[np.int64]  # places in _ALL
    keys: Hashes  # of whom it is told, and of what


class EndpointDetector:
    """Rules (`STEPS`) of which each report is judged by itself, and bursts of discovery, of which hosts are.

    A subject is a principal, or a host where none is named, together with a technique: another technique on the same
    host is another thing to tell.
    """

    name = "endpoint"
    kind = Kind.ENDPOINT
    threshold = 0.8

    def __init__(self, capacity: int = 16_384, key: int = KEY) -> None:
        self.capacity = min(capacity, _TEXTS)
        self._key = key
        self._rules = StepRules(_ALL[:_BURST_AT], _TEXTS, key)
        self._bursts = Bursts(self.capacity, key)
        self._named = hash_whole([step.technique or step.what for step in _ALL], key)

    def mine(self, batch: EventBatch) -> Mask:
        """What is reported of a principal or a host."""
        nobody = blank(batch.subject) & blank(batch.actor) & blank(batch.peer) & blank(batch.address)
        return of_kind(batch, self.kind) & ~nobody

    def learn(self, batch: EventBatch) -> None:
        """Take in commands that discover; of all else, each report stands for itself."""
        if len(batch):
            commands = self._bursts.commands(batch)
            rows = np.flatnonzero(commands)
            self._bursts.learn(self._hosts(batch, rows), commands[rows], batch.time[rows])

    def score(self, batch: EventBatch) -> Scores:
        """Each step that is found, by the last row that shows it."""
        found = self._found(batch, discovery.ENOUGH)
        if not len(found.rows):
            return NO_SCORES
        keys, last = np.unique(found.keys[::-1], return_index=True)
        places = len(found.keys) - 1 - last
        values = np.array([step.score for step in _ALL])[found.steps[places]]
        return Scores(keys, values, found.rows[places])

    def state(self) -> State:
        """The commands of late."""
        return self._bursts.state()

    def restore(self, state: State) -> None:
        """Go on from a `state`; that of an earlier version may be empty."""
        if state:
            self._bursts.restore(state)

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """A verdict on each principal, and one on the host that it happened on."""
        if not len(scores):
            return []
        found = self._found(batch, 0)  # what came after this batch may have ended its bursts
        steps = dict(zip(found.keys.tolist(), found.steps.tolist(), strict=True))
        return [
            verdict
            for key, value, row in zip(scores.hashes.tolist(), scores.values, scores.rows.tolist(), strict=True)
            for verdict in self._verdicts(batch, row, steps[key], float(value), now)
        ]

    def _found(self, batch: EventBatch, enough: int) -> _Found:
        """Steps, and commands of hosts on which so many kinds of them ran of late."""
        if not len(batch):
            return _Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint64))
        rows, steps = self._rules.found(batch)
        commands = np.flatnonzero(self._bursts.commands(batch))
        burst = commands[self._bursts.recent(self._hosts(batch, commands)).sum(axis=1) >= enough]
        rows, steps = np.concatenate([rows, burst]), np.concatenate([steps, np.full(len(burst), _BURST_AT)])
        who = self._who(batch, rows)
        told = hash_whole(batch.name.values, self._key)[batch.name.codes[rows]]
        what = np.where(steps == _TOLD_AT, told, self._named[steps])
        order = np.argsort(rows, kind="stable")
        return _Found(rows[order], steps[order], known(mix(who) ^ mix(what))[order])

    def _who(self, batch: EventBatch, rows: NDArray[np.int64]) -> Hashes:
        """[rows] the principal, or the host where none is named."""
        return self._first(batch, rows, (batch.subject, batch.actor, batch.peer, batch.address))

    def _hosts(self, batch: EventBatch, rows: NDArray[np.int64]) -> Hashes:
        return self._first(batch, rows, (batch.peer, batch.address))

    def _first(self, batch: EventBatch, rows: NDArray[np.int64], columns: tuple[Words, ...]) -> Hashes:
        """[rows] a hash of the first column that tells something."""
        hashes, told = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.bool_)
        for words in columns:
            codes = words.codes[rows]
            some = ~told & (words.values.lengths[codes] > 0)
            hashes[some] = hash_whole(words.values, self._key)[codes[some]]
            told |= some
        found: Hashes = known(hashes)
        return found

    def _verdicts(self, batch: EventBatch, row: int, step: int, score: float, now: float) -> Iterator[Verdict]:
        host, principal = _host(batch, row), batch.subject.text(row) or batch.actor.text(row)
        technique, what, since = self._told(batch, row, step)
        said = f"{what} on {host or 'an unnamed host'}: {_text(batch, row)}"
        about: list[tuple[SubjectKind, str]] = [("principal", principal), ("host", host)]
        for kind, subject in about:
            if subject:
                yield Verdict(
                    id=verdict_id(self.name, kind, f"{subject} {technique}", now, REVISION),
                    time=now,
                    detector=self.name,
                    kind=kind,
                    subject=subject,
                    score=score,
                    threshold=self.threshold,
                    evidence=(said, f"told by {batch.source.text(row)}"),
                    technique=technique,
                    model=REVISION,
                    since=since,
                    address=batch.address.text(row),
                    session=batch.session.text(row),
                )

    def _told(self, batch: EventBatch, row: int, step: int) -> tuple[str, str, float]:
        """Technique, what happened, and since when."""
        if step == _BURST_AT:
            host = self._hosts(batch, np.array([row]))
            recent = self._bursts.recent(host)[0]
            since = self._bursts.since(host) if recent.any() else float(batch.time[row])
            return discovery.technique(recent), discovery.words(recent), since
        if step == _TOLD_AT:
            named = re.search(_TECHNIQUE, batch.name.text(row), re.IGNORECASE)
            return (named[0] if named else ""), _TOLD.what, float(batch.time[row])
        return _ALL[step].technique, _ALL[step].what, float(batch.time[row])


def _text(batch: EventBatch, row: int) -> str:
    return " ".join(filter(None, (getattr(batch, name).text(row)[:_QUOTED] for name in _READ)))


def _host(batch: EventBatch, row: int) -> str:
    return batch.peer.text(row) or batch.address.text(row)
