"""Rules over alerts of sensors, and over what endpoint agents themselves name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detectors import Detector, Verdict
from detectors.alerts import AlertDetector, technique
from detectors.endpoints import EndpointDetector
from telemetry import EventBatch, Kind


def told(detector: Detector, batch: EventBatch) -> list[Verdict]:
    detector.learn(batch)
    scores = detector.score(batch)
    return detector.explain(scores.take(np.flatnonzero(scores.values >= detector.threshold)), batch, 50.0)


def alerts(rows: Any, count: int, severity: int, gap: float = 0.1) -> EventBatch:
    times = [10 + gap * row for row in range(count)]
    batch: EventBatch = rows(
        times, kind=Kind.ALERT, source="eve:branch-7", address="10.9.0.66", severity=severity, name="ET SCAN Nmap -sS"
    )
    return batch


@pytest.mark.parametrize("severity", [3, 4])
def test_one_severe_alert_is_enough(rows: Any, severity: int) -> None:
    (verdict,) = told(AlertDetector(), alerts(rows, 1, severity))
    assert (verdict.kind, verdict.subject, verdict.technique) == ("address", "10.9.0.66", "T1046")
    assert verdict.model == "rule:eve-severity"
    assert "ET SCAN Nmap -sS" in verdict.evidence[0]
    assert "eve:branch-7" in verdict.evidence[0]


@pytest.mark.parametrize(("severity", "few", "many"), [(2, 5, 9), (1, 20, 40), (0, 10, 20)])
def test_lesser_alerts_must_repeat(rows: Any, severity: int, few: int, many: int) -> None:
    assert told(AlertDetector(), alerts(rows, few, severity)) == []
    assert len(told(AlertDetector(), alerts(rows, many, severity))) == 1


def test_repetition_fades(rows: Any) -> None:
    assert told(AlertDetector(), alerts(rows, 9, 2, gap=60.0)) == []


@pytest.mark.parametrize(
    ("name", "category", "expected"),
    [
        ("lateral movement T1021.002", "", "T1021.002"),
        ("prompt injection", "AML.T0051", "AML.T0051"),
        ("Scan::Port_Scan", "notice", "T1046"),
        ("SSH brute force", "", "T1110"),
        ("ET EXPLOIT CVE-2024-1", "", "T1190"),
        ("something odd", "", ""),
    ],
)
def test_the_technique_is_what_the_alert_says(name: str, category: str, expected: str) -> None:
    assert technique(name, category) == expected


def test_a_dump_is_told_of_the_teller_and_of_her_laptop(rows: Any) -> None:
    batch = rows(
        [10.0],
        kind=Kind.ENDPOINT,
        source="mqtt:endpoint",
        subject="person:tina",
        actor="person:tina",
        peer="laptop-tina",
        address="10.0.3.7",
        action="process_access",
        service="procdump.exe",
        resource="lsass.exe",
        name="T1003.001",
        severity=4,
    )
    verdicts = told(EndpointDetector(), batch)
    assert [(v.kind, v.subject) for v in verdicts] == [("principal", "person:tina"), ("host", "laptop-tina")]
    assert {v.technique for v in verdicts} == {"T1003.001"}
    assert "lsass.exe" in verdicts[0].evidence[0]
    assert verdicts[0].address == "10.0.3.7"


def test_a_host_without_a_known_user_is_still_told_of(rows: Any) -> None:
    batch = rows([10.0], kind=Kind.ENDPOINT, peer="dc-1", action="process_create", resource="C:\\t\\mimikatz.exe")
    assert [(v.kind, v.subject) for v in told(EndpointDetector(), batch)] == [("host", "dc-1")]
