"""Judges addresses by the names they ask for: many that an algorithm made, or that do not exist, within minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import CPU
from detectors.detector import NO_SCORES, Scores, last_rows
from detectors.features import Clocks, Damped, Groups, Key, by_address
from detectors.features.damped import Turn
from detectors.features.seen import Seen
from detectors.judgement import verdict_id
from detectors.models.naming import NameModel
from detectors.name_memory import NameMemory
from detectors.verdict import Verdict
from telemetry import EventBatch, Kind

DOMAIN_GENERATION = "T1568.002"
_SCALE = 300.0  # seconds
_STRANGE, _LOST = 0.02, 0.02  # of an honest address' new names: strange ones; likely made ones that do not exist
_FLOOR = 0.5  # of either that anybody may have
_DOUBT = 11.5  # nats: of a hundred thousand addresses at a time one may be so by chance
_QUOTED = 4  # names in a verdict
_FADED = 0.05  # of one name; what came before it no longer counts
_MISSING = ("NXDOMAIN", "3", "9003")  # Zeek and Suricata; the number (RFC 1035); Windows' own


class NameDetector:
    """A model judges each registered name once; a rule, how unlikely so many strange ones are by chance.

    Ordinary names are strange now and then, so that their number is that of a Poisson process: it reaches k where m are
    expected with a probability below exp(-(k ln(k / m) - k + m)) (Chernoff 1952). Each address is told of a name once
    a day, so that a client that asks again and again says nothing new.
    """

    name = "name"
    kind = Kind.DNS
    threshold = 0.8

    def __init__(self, model: NameModel, capacity: int = 16_384) -> None:
        self.capacity = capacity
        self._model = model
        self._memory = NameMemory(model)
        self._clocks = Clocks(capacity, CPU)
        self._sums = Damped(capacity, 3, (_SCALE,), CPU)  # names that are new to the address, strange, lost
        self._asked, self._missed = Seen(capacity, CPU), Seen(capacity, CPU)
        self._since = np.zeros(capacity)  # Unix seconds of the first strange name of the present row of them
        self._quotes: dict[int, tuple[str, ...]] = {}  # by slot, the latest last

    def learn(self, batch: EventBatch) -> None:
        """Take in questions and answers."""
        judged = self._memory.judge(batch.resource)
        rows = judged.registered != 0
        if not rows.any():
            return
        batch, judged = batch.take(rows), judged.take(rows)
        turn = self._clocks.turn(by_address(batch), batch.time)
        for seen in (self._asked, self._missed):
            seen.clear(turn.fresh)
        slots = turn.slots[turn.group]
        new = self._asked.mark(slots, judged.registered, turn.times)
        absent = np.flatnonzero(_missing(batch))
        lost = np.zeros(len(batch), np.bool_)
        lost[absent] = self._missed.mark(slots[absent], judged.registered[absent], turn.times[absent])
        lost &= judged.chance >= self._model.likely
        strange = new & (judged.chance >= self._model.strange)
        self._note(turn, batch, strange | lost)
        self._sums.add(turn, [new, strange, lost])

    def score(self, batch: EventBatch) -> Scores:
        """Each source address of the batch."""
        if not len(batch):
            return NO_SCORES
        groups: Groups = by_address(batch)
        scores = Scores(groups.keys, self._values(groups.keys), last_rows(groups.of_row, len(groups.keys)))
        return scores.take([place for place, key in enumerate(groups.keys) if key[1]])

    def explain(self, scores: Scores, batch: EventBatch, now: float) -> list[Verdict]:
        """Verdicts that quote the latest of the names."""
        return [self._verdict(scores, place, batch, now) for place in range(len(scores))]

    def _values(self, keys: Sequence[Key]) -> NDArray[np.float64]:
        new, strange, lost = self._counts(keys).T
        unlikely = np.maximum(_unlikely(strange, _FLOOR + _STRANGE * new), _unlikely(lost, _FLOOR + _LOST * new))
        values: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * (unlikely - _DOUBT)))
        return values

    def _counts(self, keys: Sequence[Key]) -> NDArray[np.float64]:
        slots = self._clocks.subjects.find(keys)
        counts: NDArray[np.float64] = np.where(slots[:, None] < 0, 0.0, self._sums.sums[slots, :, 0])
        return counts

    def _note(self, turn: Turn, batch: EventBatch, telling: NDArray[np.bool_]) -> None:
        """When the present row of strange names began, and the latest of them."""
        for slot in turn.fresh.tolist():
            self._quotes.pop(slot, None)
        first = np.full(len(turn.slots), np.inf)
        np.minimum.at(first, turn.group[telling], turn.times[telling])
        before = self._sums.sums[turn.slots, 1:, 0].sum(1) * np.exp(-turn.elapsed / _SCALE)
        begun = np.where(np.isfinite(first), first, turn.times[-1])
        self._since[turn.slots] = np.where(before < _FADED, begun, self._since[turn.slots])
        for row in np.flatnonzero(telling).tolist():
            slot, name = int(turn.slots[turn.group[row]]), batch.resource.text(row)
            told = tuple(one for one in self._quotes.get(slot, ()) if one != name)
            self._quotes[slot] = (*told, name)[-_QUOTED:]

    def _verdict(self, scores: Scores, place: int, batch: EventBatch, now: float) -> Verdict:
        key, row = scores.keys[place], int(scores.rows[place])
        slot = int(self._clocks.subjects.find([key])[0])
        return Verdict(
            id=verdict_id(self.name, "address", key[1], now, self._model.revision),
            time=now,
            detector=self.name,
            kind="address",
            subject=key[1],
            score=float(scores.values[place]),
            threshold=self.threshold,
            evidence=_words(self._counts([key])[0], self._quotes.get(slot, ())),
            technique=DOMAIN_GENERATION,
            model=self._model.revision,
            since=float(self._since[slot]) if slot >= 0 else float(batch.time[row]),
            address=key[1],
            session=batch.session.text(row),
        )


def _unlikely(count: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nats: -ln of a bound on the chance that so many, or more, come where some are expected."""
    more = np.maximum(count, expected)
    bound: NDArray[np.float64] = more * np.log(more / expected) - more + expected
    return bound


def _missing(batch: EventBatch) -> NDArray[np.bool_]:
    table = np.fromiter(
        (text.upper() in _MISSING for text in batch.outcome.values), np.bool_, len(batch.outcome.values)
    )
    missing: NDArray[np.bool_] = table[batch.outcome.codes]
    return missing


def _words(counts: NDArray[np.float64], quotes: tuple[str, ...]) -> tuple[str, ...]:
    new, strange, lost = counts.tolist()
    said = [
        f"about {strange:.0f} of {new:.0f} domains that it first asked for in the last {_SCALE:.0f} s look made by an "
        "algorithm",
        f"about {lost:.0f} that may be made so do not exist",
    ]
    quoted = [f"such as {', '.join(quotes)}"] if quotes else []
    order = (0, 1) if strange >= lost else (1, 0)
    return (*(said[place] for place in order if counts[1 + place] >= 0.5), *quoted) or (said[0],)
