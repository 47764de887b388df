"""Captures of `bench detection`: which flows count as called, which verdict names a step, how events are played."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.detecting import endpoint, zeek
from bench.detecting.scores import over_seeds
from bench.detecting.shipped import counted, play
from detectors import AlertDetector, Pipeline, Verdict
from telemetry import Event, EventBatch, Kind

STEP = endpoint.Done("T1569.002", "WORKSTATION6", 100.0, 105.0, "a service")


def verdict(**changes: object) -> Verdict:
    said = {"time": 101.0, "subject": "WORKSTATION6.theshire.local", "technique": "T1569.002", "kind": "host"} | changes
    common = {"id": "v-0", "detector": "endpoint", "score": 0.9, "threshold": 0.8, "evidence": (), "model": "rule:x"}
    return Verdict(**(common | {"since": 1.0} | said))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, True),
        ({"subject": "workstation6"}, True),
        ({"time": 106.5}, True),
        ({"time": 108.0}, False),
        ({"time": 97.0}, False),
        ({"technique": "T1569"}, False),
        ({"subject": "WORKSTATION5.theshire.local"}, False),
    ],
)
def test_a_step_is_named_by_technique_host_and_time(changes: dict[str, object], named: bool) -> None:
    assert STEP.is_named_by(verdict(**changes)) is named


def test_a_flow_is_called_when_its_source_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("10.0.0.1", "Malicious")] * 3 + [
        ("10.0.0.1", "Benign"),
        ("10.0.0.2", "Malicious"),
        ("10.0.0.3", "Unknown"),
    ]
    lines = ["#fields\tts\tid.orig_h\tlabel", *(f"1\t{source}\t{label}" for source, label in rows)]
    (tmp_path / "conn.log").write_text("\n".join(lines))
    monkeypatch.setattr(zeek, "LABELLED", tmp_path / "conn.log")
    found = zeek.by_flow({"10.0.0.1", "10.0.0.3"})
    assert (found["zeek_flow_precision"], found["zeek_flow_recall"]) == (0.75, 0.75)
    assert (found["zeek_flows"], found["zeek_flows_hostile"]) == (5.0, 4.0)
    assert zeek.by_flow(set())["zeek_flow_precision"] == 0.0


def test_events_are_played_second_by_second_of_their_own_time() -> None:
    alert = {"kind": Kind.ALERT, "source": "eve", "severity": 4, "address": "10.0.0.1"}
    batch = EventBatch.of([Event(time=time, **alert) for time in (1000.2, 1000.9, 1001.5, 1100.0)])  # type: ignore[arg-type]
    verdicts = play(Pipeline([AlertDetector()]), batch)
    assert [one.time for one in verdicts] == [1000.9, 1100.0]
    assert counted("x", verdicts) == {"x_verdicts": 2.0, "x_subjects": 1.0, "x_verdicts_unnamed": 2.0}


def test_a_count_that_a_seed_lacks_is_none() -> None:
    assert over_seeds([{"a": 1.0, "b": 2.0}, {"a": 3.0}])["b"] == 1.0
