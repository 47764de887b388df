"""The pipeline: who is asked what, what is not repeated, which times count."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors import Pipeline
from detectors.alerts import AlertDetector
from detectors.endpoints import EndpointDetector
from detectors.pipeline import EARLY
from detectors.repeats import QUIET, Repeats
from telemetry import Kind, concatenate


def test_a_verdict_is_not_repeated_until_it_is_quiet_or_worse(rows: Any) -> None:
    pipeline = Pipeline([AlertDetector()])
    alert = {"kind": Kind.ALERT, "address": "10.0.0.1", "name": "ET SCAN"}
    assert [v.score for v in pipeline.process([rows([1000.0] * 8, severity=2, **alert)], 1000.0)]
    assert pipeline.process([rows([1001.0], severity=2, **alert)], 1001.0) == []
    assert len(pipeline.process([rows([1002.0], severity=4, **alert)], 1002.0)) == 1
    later = 1002.0 + QUIET
    assert len(pipeline.process([rows([later], severity=4, **alert)], later)) == 1


def test_a_time_to_come_is_now_and_counted(rows: Any) -> None:
    pipeline, before = Pipeline([AlertDetector()]), EARLY._value.get()
    verdicts = pipeline.process([rows([9e9, float("nan")], kind=Kind.ALERT, address="10.0.0.1", severity=4)], 1000.0)
    assert [verdict.since for verdict in verdicts] == [1000.0]
    assert EARLY._value.get() == before + 2


def test_each_detector_gets_its_own_kind(rows: Any) -> None:
    pipeline = Pipeline([AlertDetector(), EndpointDetector()])
    mixed = concatenate(
        [
            rows([1.0], kind=Kind.ALERT, address="10.0.0.1", severity=4, name="T1003"),
            rows([2.0], kind=Kind.ENDPOINT, subject="person:tina", actor="person:tina", name="T1003"),
            rows([3.0], kind=Kind.DNS, address="10.0.0.1", severity=4, name="T1003"),
        ]
    )
    assert [verdict.detector for verdict in pipeline.process([mixed], 1000.0)] == ["alert", "endpoint"]


def test_a_batch_with_more_subjects_than_fit_is_judged_in_parts(rows: Any) -> None:
    pipeline = Pipeline([AlertDetector(capacity=8)])
    addresses = [f"10.0.0.{row}" for row in range(100)]
    verdicts = pipeline.process([rows([900.0] * 100, kind=Kind.ALERT, address=addresses, severity=3)], 1000.0)
    assert [verdict.subject for verdict in verdicts] == addresses


def test_repeats_forget_the_longest_silent() -> None:
    repeats = Repeats(most=2)
    for subject in (1, 2, 3):
        repeats.note(("access", subject), 0.9, 1.0)
    assert len(repeats) == 2
    due = [repeats.due(("access", subject), 0.9, 2.0) for subject in (1, 2, 3)]
    assert due == [True, False, False]


def test_a_clock_set_back_does_not_silence(rows: Any) -> None:
    repeats = Repeats()
    repeats.note(("access", 1), 0.9, 1000.0)
    assert repeats.due(("access", 1), 0.9, 10.0)


def test_no_event_no_verdict(rows: Any) -> None:
    nothing = rows([])
    assert Pipeline([AlertDetector()]).process([nothing], 1000.0) == []
    assert len(nothing.take(np.arange(0))) == 0
