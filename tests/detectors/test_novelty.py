"""Novelty: what hardly anybody does surprises, what many do does not, and nobody is accused by it alone."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Pipeline
from detectors.features.habits import STRANGE
from detectors.features.operations import templates
from detectors.features.tally import Tally
from detectors.novelty import NoveltyDetector
from detectors.stages import NOTABLE
from telemetry import Event, EventBatch, Kind, Texts

MONDAY = 1_767_571_200.0  # Unix seconds, midnight UTC
HOUR, DAY = 3600.0, 86_400.0
PEOPLE = 200
USUAL = ("GET /accounts/{n}", "GET /accounts/{n}/statements", "POST /payments/{n}")
ADMIN = tuple(f"{action} /admin/{what}" for action in ("GET", "DELETE") for what in ("exports", "keys", "users"))


def did(who: str, what: str, time: float, address: str = "", **columns: Any) -> Event:
    action, path = what.split(" ", 1)
    fixed = {"kind": Kind.REQUEST, "source": "edge", "service": "bank", "outcome": "allow", "status": 200, **columns}
    return Event(time=time, subject=who, actor=who, action=action, resource=path, address=address, **fixed)


def office_day(day: int, people: int = PEOPLE) -> list[Event]:
    """From nine to five each does the usual things now and then, mostly from the own desk."""
    rng = np.random.default_rng(day)
    events = []
    for person in range(people):
        for time in np.sort(rng.uniform(9 * HOUR, 17 * HOUR, 24)):
            what = USUAL[int(rng.integers(len(USUAL)))].format(n=int(rng.integers(9000)))
            desk = f"10.0.{person // 250}.{person % 250}"
            events.append(did(f"person:p{person}", what, MONDAY + day * DAY + time, desk))
    return sorted(events, key=lambda event: event.time)


@pytest.fixture(scope="module")
def week() -> dict[str, Any]:
    """What is known after five days."""
    detector = NoveltyDetector(1024)
    for day in range(5):
        events = office_day(day)
        for start in range(0, len(events), 1000):
            detector.learn(EventBatch.of(events[start : start + 1000]))
    return dict(detector.state())


@pytest.fixture
def settled(week: dict[str, Any]) -> NoveltyDetector:
    detector = NoveltyDetector(1024)
    detector.restore(week)
    return detector


def scored(detector: NoveltyDetector, *events: Event) -> float:
    """The score of the last one's actor."""
    batch = EventBatch.of(events)
    detector.learn(batch)
    scores = detector.score(batch)
    (place,) = np.flatnonzero(scores.rows == len(batch) - 1)
    return float(scores.values[place])


def test_the_usual_is_not_notable(settled: NoveltyDetector) -> None:
    batch = EventBatch.of(office_day(4 + 3))  # the next Monday
    settled.learn(batch)
    assert (settled.score(batch).values < NOTABLE).all()


def test_what_nobody_does_by_night_from_elsewhere_is(settled: NoveltyDetector) -> None:
    night = MONDAY + 7 * DAY + 3 * HOUR
    events = [did("person:p7", what, night + second, "203.0.113.9") for second, what in enumerate(ADMIN[:2])]
    assert scored(settled, *events) >= NOTABLE
    (hint,) = settled.explain(settled.score(EventBatch.of(events)), EventBatch.of(events), night)
    assert (hint.subject, hint.kind, hint.technique, hint.since) == ("person:p7", "principal", "T1078", night)
    assert "hardly anybody does" in hint.evidence[0]
    assert "last DELETE /admin/exports" in hint.evidence[0] or "last GET /admin/keys" in hint.evidence[0]
    assert any("time of day" in said for said in hint.evidence)
    assert any("203.0.113.9" in said for said in hint.evidence)


def test_nobody_is_accused_by_it_alone(settled: NoveltyDetector) -> None:
    night = MONDAY + 7 * DAY + 3 * HOUR
    strange = [did("person:p7", what, night + second, "203.0.113.9") for second, what in enumerate(ADMIN)]
    assert Pipeline([settled]).process([EventBatch.of(strange)], night + 60) == []


def test_what_many_come_to_do_is_usual_soon(settled: NoveltyDetector) -> None:
    morning, what = MONDAY + 7 * DAY + 9.5 * HOUR, "GET /dashboard"  # a new release
    first, *others = (scored(settled, did(f"person:p{n}", what, morning + n * 60.0)) for n in range(100))
    assert first > 4 * others[-1]


def test_one_who_does_it_again_and_again_does_not_make_it_usual(settled: NoveltyDetector) -> None:
    morning, what = MONDAY + 7 * DAY + 9.5 * HOUR, "GET /admin/exports"
    often = [did("person:p1", what, morning + second) for second in range(1000)]
    settled.learn(EventBatch.of(often))
    assert scored(settled, did("person:p2", what, morning + 2000)) > 0.1


@pytest.mark.parametrize("strange", [False, True])
def test_what_strange_actors_do_is_not_learnt_as_usual(week: dict[str, Any], strange: bool) -> None:
    detector, now = NoveltyDetector(1024), MONDAY + 7 * DAY + 10 * HOUR
    sums = np.full_like(week["sums"], STRANGE if strange else 0.0)
    detector.restore({**week, "sums": sums, "last": np.full_like(week["last"], now)})
    detector.learn(EventBatch.of([did(f"person:p{n}", "GET /vault", now + n / 100) for n in range(PEOPLE)]))
    told = scored(detector, did("person:new", "GET /vault", now + 60))
    assert told > 0.1 if strange else told < 0.03


def test_of_very_many_some_are_read() -> None:
    """Beyond some thousands a second one in so many: of a small batch perhaps none."""
    detector, read = NoveltyDetector(16_384), 0
    for _ in range(100):
        batch = EventBatch.of([did(f"person:p{n}", "GET /a", MONDAY) for n in range(100)])
        detector.learn(batch)
        read += len(detector.score(batch))
        few = EventBatch.of([did("person:p1", "GET /a", MONDAY)] * 2)
        detector.learn(few)
        assert len(detector.score(few)) <= 1
    assert 8000 < read < 9000


def test_free_texts_in_paths_surprise_nobody() -> None:
    detector, words = NoveltyDetector(1024), [f"{a}{b}" for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmnopqrst"]
    events = [did(f"person:p{n % 50}", f"GET /search/{word}", MONDAY + n) for n, word in enumerate(words)]
    assert scored(detector, *events) < NOTABLE


@given(st.lists(st.text("/a1?é", max_size=8), max_size=6))
def test_a_template_is_the_path_without_query_and_numbered_segments(paths: list[str]) -> None:
    expected = [re.sub(r"[^/]*[0-9][^/]*", "", path.split("?")[0]) for path in paths]
    hashes = templates(Texts.of(paths), 0).tolist()
    for one, first in zip(expected, hashes, strict=True):
        for other, second in zip(expected, hashes, strict=True):
            assert (one == other) == (first == second)


@given(st.lists(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=6), max_size=6))
def test_a_tally_is_a_count_row_by_row(batches: list[list[tuple[int, bool]]]) -> None:
    tally, counts = Tally(16), Counter[int]()
    for batch in batches:
        things = np.array([thing for thing, _ in batch], np.uint64)
        counted = np.array([counts_too for _, counts_too in batch], np.bool_)
        found = tally.before(things, counted, np.ones(len(batch)))
        for (thing, counts_too), before in zip(batch, found.tolist(), strict=True):
            assert before == counts[thing]
            counts[thing] += counts_too
