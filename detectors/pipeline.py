"""Batches in, verdicts out. No I/O: the clock comes from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import Counter, Histogram

from detectors.access import AccessDetector
from detectors.alerts import AlertDetector
from detectors.arrays import Device, arrays
from detectors.correlation import Correlation
from detectors.detector import Detector, Learnt, Scores, State, of_kind
from detectors.endpoints import EndpointDetector
from detectors.features.hashing import KEY
from detectors.flows import FlowDetector
from detectors.gathering import gathered
from detectors.hints import Hints
from detectors.models import ACCESS, FLOW, NAME, PAIR, Following, Shelf
from detectors.names import NameDetector
from detectors.novelty import NoveltyDetector
from detectors.pairs import PairDetector
from detectors.repeats import Repeats
from detectors.verdict import Verdict
from telemetry import EventBatch

EVENTS = Counter("portcullis_detectors_events_total", "Events read by a detector", ["detector"])
SCORES = Counter("portcullis_detectors_scores_total", "Subjects scored, each as often as it was", ["detector"])
VERDICTS = Counter("portcullis_detectors_verdicts_total", "Verdicts told", ["detector", "technique"])
REPEATED = Counter("portcullis_detectors_repeated_total", "Verdicts not told, the same was just said", ["detector"])
EARLY = Counter("portcullis_detectors_early_events_total", "Events with a time to come, set to now")
SECONDS = Histogram(
    "portcullis_detectors_batch_seconds",
    "Time to judge a batch",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1),
)
_WITHOUT_MODEL = (AlertDetector, EndpointDetector, NoveltyDetector)
_Scored = list[tuple[EventBatch, Scores]]
_ROWS = 131_072  # a larger batch is judged in parts, so that its subjects fit the tables
_SIDE_BY_SIDE = 65_536  # events from which on a thread for each detector is worth what they wait for one another
_REPEATS, _HINTS = "repeats", "hints"
_SKEW = 1.0  # seconds by which a source's clock may be ahead


class Pipeline:
    """Detectors in one visible order, each given the rows of its kind: learn, score, explain what is due."""

    def __init__(
        self,
        detectors: Sequence[Detector],
        following: Sequence[tuple[Learnt, Following]] = (),
        correlation: Correlation | None = None,
    ) -> None:
        self.detectors = tuple(detectors)
        self._following = tuple(following)  # detectors whose model may be replaced while they run
        self._correlation = correlation or Correlation()
        self._repeats, self._hints = Repeats(), Hints()
        self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "detector")  # more would wait for one another
        self._rows = min([_ROWS, *(detector.capacity for detector in detectors)])

    def process(self, batches: Sequence[EventBatch], now: float) -> list[Verdict]:
        """Verdicts that these batches give rise to at `now` (Unix seconds)."""
        self._turn()
        with SECONDS.time():
            parts = gathered([_no_future(batch, now) for batch in batches], self._rows)
            judged = self._judged(parts)
            told = [verdict for detector, scored in judged for verdict in self._tell(detector, scored, now)]
            return told + self._correlated(now)

    def states(self) -> dict[str, State]:
        """What each part knows, by name."""
        said = {_REPEATS: self._repeats.state(), _HINTS: self._hints.state()}
        return {
            **{detector.name: detector.state() for detector in self.detectors},
            **self._correlation.states(),
            **said,
        }

    def restore(self, states: Mapping[str, State]) -> None:
        """Go on from the `states` of another one; a part that was not there begins anew."""
        for detector in self.detectors:
            if detector.name in states:
                detector.restore(states[detector.name])
        self._correlation.restore(states)
        for name, repeats in ((_REPEATS, self._repeats), (_HINTS, self._hints)):
            if name in states:
                repeats.restore(states[name])

    def look(self) -> None:
        """Load what was promoted meanwhile; `process` takes it up before its next batch. For a thread beside it."""
        for _, following in self._following:
            following.look()

    def _turn(self) -> None:
        """Detectors keep what they know of their subjects: they judge it by another model from here on."""
        for detector, following in self._following:
            if following.turn():
                detector.adopt(following.model)

    def _judged(self, batches: Sequence[EventBatch]) -> list[tuple[Detector, _Scored]]:
        """Who is where is learnt, too. Parts share nothing: with much to do they work side by side, most of the time
        outside of Python.
        """
        if sum(map(len, batches)) < _SIDE_BY_SIDE:
            self._correlation.learn(batches)
            return [(detector, _scored(detector, batches)) for detector in self.detectors]
        judged = self._threads.map(_scored, self.detectors, repeat(batches))
        self._threads.submit(self._correlation.learn, batches).result()
        return list(zip(self.detectors, judged, strict=True))

    def _tell(self, detector: Detector, scored: _Scored, now: float) -> Iterator[Verdict]:
        for batch, scores in scored:
            EVENTS.labels(detector.name).inc(len(batch))
            SCORES.labels(detector.name).inc(len(scores))
            yield from self._due(detector, batch, scores, now)

    def _due(self, detector: Detector, batch: EventBatch, scores: Scores, now: float) -> list[Verdict]:
        moment = float(batch.time[-1])
        hot = scores.take(np.flatnonzero(scores.values >= detector.threshold))
        told = hot.take(self._repeats.unsaid(detector.name, hot.hashes, hot.values, now))
        REPEATED.labels(detector.name).inc(len(hot) - len(told))
        hints = self._hints.of(detector, scores, now)
        verdicts = self._correlation.joined(detector.explain(hints + told, batch, now), moment)
        for verdict in verdicts:
            VERDICTS.labels(detector.name, verdict.technique).inc()
        return verdicts

    def _correlated(self, now: float) -> list[Verdict]:
        verdicts = self._correlation.told(now)
        for verdict in verdicts:
            VERDICTS.labels(verdict.detector, verdict.technique).inc()
        return verdicts


def default_pipeline(
    models: Path,
    device: Device = "cpu",
    capacity: int = 262_144,
    key: int = KEY,
    trusted: Sequence[Ed25519PublicKey] = (),
) -> Pipeline:
    """Every detector there is, with what is in force on a shelf. `trusted` are keys beside the shelf's own.

    Texts are hashed under a key that nobody who chooses them should know; what was learnt is found again under the
    same key only. Raises ModelRefused.
    """
    where, shelf = arrays(device), Shelf(models, trusted)
    access, flow, pair = (Following(shelf, schema, where.device) for schema in (ACCESS, FLOW, PAIR))
    name = Following(shelf, NAME)  # few names are judged a batch: a device would wait for them
    by_requests = AccessDetector(access.model, capacity, where, key)
    by_flows = FlowDetector(flow.model, capacity, where, key)
    by_pairs = PairDetector(pair.model, capacity, where, key)
    by_names = NameDetector(name.model, capacity, key)
    return Pipeline(
        (by_requests, by_flows, by_pairs, by_names, *(make(capacity, key) for make in _WITHOUT_MODEL)),
        ((by_requests, access), (by_flows, flow), (by_pairs, pair), (by_names, name)),
        Correlation(capacity, key),
    )


def _scored(detector: Detector, batches: Sequence[EventBatch]) -> _Scored:
    """The rows of each batch that are a detector's, and what it makes of them."""
    scored = []
    for batch in batches:
        if not of_kind(batch, detector.kind).any():
            continue
        mine = detector.mine(batch)
        if mine.any():
            rows = batch if mine.all() else batch.take(mine)
            detector.learn(rows)
            scored.append((rows, detector.score(rows)))
    return scored


def _no_future(batch: EventBatch, now: float) -> EventBatch:
    """A time to come would stop a subject's clock until then, and hide what it does meanwhile."""
    early = ~(batch.time <= now + _SKEW)  # true of NaN, too
    if not early.any():
        return batch
    EARLY.inc(int(early.sum()))
    return replace(batch, time=np.where(early, now, batch.time))
