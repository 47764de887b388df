"""Pairs of source and peer: what calls home, carries away, guesses or goes around is caught; what looks so is not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from detectors import Shelf, Verdict
from detectors.arrays import CPU
from detectors.features.callers import MOST
from detectors.features.pair import PairFeatures
from detectors.features.pair_columns import NAMES
from detectors.features.pairing import ends, grouped
from detectors.features.places import INSIDE, NOWHERE, OUTSIDE, lie
from detectors.models import PAIR
from detectors.pairs import PairDetector
from detectors.simulator import Labelled, honest_flows, kind_traffic, play
from detectors.simulator.habits import DESK, Habit
from detectors.simulator.sites import Site
from telemetry import Event, EventBatch, Kind, Texts

SEED = 5001  # no training's
HOURS = 12
# Of ten implants so many are caught at least, each within so many minutes of its first flow in the median
EXPECTED = {
    "beacon": (7, 120),
    "slow_beacon": (6, 480),
    "hidden_beacon": (7, 180),
    "dead_server": (7, 60),
    "large_upload": (5, 20),
    "many_uploads": (6, 60),
    "upload_by_beacon": (6, 180),
    "guessing": (6, 20),
    "lateral": (7, 90),
}
TECHNIQUES = {
    "beacon": ("T1071", "T1571"),
    "dead_server": ("T1071", "T1571"),
    "large_upload": ("T1041", "T1048"),
    "many_uploads": ("T1041", "T1048", "T1071", "T1571"),
    "guessing": ("T1110", "T1048"),
    "lateral": ("T1021",),
}


@pytest.fixture
def detector(models: Path) -> PairDetector:
    return PairDetector(Shelf(models).in_force(PAIR), 65_536)


def flow(time: float, **columns: object) -> Event:
    fixed = {"address": "10.1.0.5", "peer": "45.1.2.3", "port": 443, "outcome": "SF", "bytes_in": 300, "bytes_out": 200}
    return Event(time=time, kind=Kind.FLOW, source="zeek:test", **(fixed | columns))  # type: ignore[arg-type]


def judged(detector: PairDetector, batch: EventBatch) -> list[Verdict]:
    detector.learn(batch)
    scores = detector.score(batch)
    hot = np.flatnonzero(scores.values >= detector.threshold)
    return detector.explain(scores.take(hot), batch, float(batch.time[-1])) if len(hot) else []


def watched(detector: PairDetector, traffic: Iterable[Labelled]) -> tuple[list[Verdict], dict[str, float]]:
    """All verdicts, and when each attacker's address did the first hostile thing."""
    told: list[Verdict] = []
    began: dict[str, float] = {}
    for labelled in traffic:
        for row in np.flatnonzero(labelled.hostile).tolist():
            began.setdefault(labelled.batch.address.text(row), float(labelled.batch.time[row]))
        told += judged(detector, labelled.batch)
    return told, began


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_implant_is_caught_in_time(detector: PairDetector, kind: str) -> None:
    told, began = watched(detector, kind_traffic(kind, SEED, 10, HOURS * 3600.0, 60.0))
    caught: dict[str, Verdict] = {}
    for verdict in told:
        if verdict.time >= began.get(verdict.subject, np.inf):
            caught.setdefault(verdict.subject, verdict)
    least, minutes = EXPECTED[kind]
    assert len(caught) >= least
    assert np.median([one.time - began[who] for who, one in caught.items()]) <= 60 * minutes
    assert {verdict.subject for verdict in told} - set(began) <= {"10.1.0.0"}
    fitting = [one.technique.startswith(TECHNIQUES.get(kind, ("T1",))) for one in caught.values()]
    assert sum(fitting) >= 0.7 * len(fitting)


@pytest.mark.parametrize("habit", dict.fromkeys(habit for habit, _ in DESK), ids=lambda habit: habit.__name__)
def test_what_is_honest_and_regular_is_not_accused(detector: PairDetector, habit: Habit) -> None:
    site = Site(np.random.default_rng((SEED, 1)), 3, 30, HOURS * 3600.0)
    shared = [site.outside() for _ in range(8)]
    tracks = [track for number in range(30) for track in habit(site, site.host(number), shared)]
    told, _ = watched(detector, play([track for track in tracks if len(track.times)], 60.0))
    assert len({verdict.subject for verdict in told}) <= 1


def test_an_honest_site_has_few_accused(detector: PairDetector) -> None:
    told, _ = watched(detector, honest_flows(SEED, 60, 0.25, 30.0))
    assert len({verdict.subject for verdict in told}) <= 2


def test_a_beacon_is_told_of_in_words(detector: PairDetector) -> None:
    rng = np.random.default_rng(1)
    times = 1e9 + np.cumsum(60 + rng.normal(0, 1, 60))
    batch = EventBatch.of([flow(time, port=4444) for time in times])
    [verdict] = judged(detector, batch)
    assert (verdict.kind, verdict.subject, verdict.technique) == ("address", "10.1.0.5", "T1571")
    assert verdict.evidence[0] == "to 45.1.2.3, port 4444"
    assert "every 60 s on average" in " ".join(verdict.evidence)
    assert verdict.since == pytest.approx(times[0])


def test_what_a_crowd_asks_leaves_no_trace() -> None:
    features = PairFeatures(4096)
    crowd = EventBatch.of([flow(1e9 + number, address=f"10.2.{number // 250}.{number % 250}") for number in range(400)])
    for start in range(0, 400, 40):
        features.learn(crowd.take(slice(start, start + 40)))
    assert len(features.table) == MOST
    remote = EventBatch.of([flow(2e9, port=22), flow(2e9, bytes_in=9_000_000), flow(2e9)])
    features.learn(remote)
    assert len(features.table) == MOST + 2


def test_multicast_is_nobody(detector: PairDetector) -> None:
    features = PairFeatures(16)
    features.learn(EventBatch.of([flow(1e9, peer=peer) for peer in ("224.0.0.251", "239.255.255.250", "ff02::fb", "")]))
    assert len(features.table) == 0
    told = EventBatch.of([flow(1e9, peer="224.0.0.251", port=5353)] * 20)
    for _ in range(2):
        assert judged(detector, told) == []
    assert len(detector.score(told)) == 0


def test_where_addresses_lie() -> None:
    texts = ("10.1.2.3", "172.16.0.1", "172.32.0.1", "192.168.1.1", "FD00::1", "fe80::2", "8.8.8.8", "2001:db8::1")
    assert lie(Texts.of(texts)).tolist() == [INSIDE, INSIDE, OUTSIDE, INSIDE, INSIDE, INSIDE, OUTSIDE, OUTSIDE]
    assert lie(Texts.of(("239.1.1.1", "255.255.255.255", "", "server.bank.example"))).tolist() == [NOWHERE] * 3 + [
        OUTSIDE
    ]


def test_pairs_are_told_apart_by_source_peer_and_port() -> None:
    batch = EventBatch.of(
        [flow(1e9), flow(1e9, port=444), flow(1e9, peer="45.1.2.4"), flow(1e9, address="10.1.0.6"), flow(1e9)]
    )
    groups = grouped(ends(batch, np.arange(5), CPU, 7).pairs, CPU)
    assert len(groups.hashes) == 4
    assert groups.of_row[0] == groups.of_row[4]
    assert sorted(groups.last.tolist()) == [1, 2, 3, 4]


def test_gaps_sizes_and_age_are_what_they_are() -> None:
    features = PairFeatures(16)
    batch = EventBatch.of([flow(1e9 + 100.0 * number, bytes_in=500) for number in range(20)])
    features.learn(batch)
    row = dict(zip(NAMES, features.of(batch)[1][0].tolist(), strict=True))
    assert np.exp(row["gap_mean"]) == pytest.approx(100, rel=1e-3)
    assert (row["change_gap"], row["change_sent"]) == (pytest.approx(0, abs=1e-6), 0.0)
    assert np.expm1(row["lived"]) == pytest.approx(1900, rel=1e-3)
    assert np.expm1(row["sent_each"]) == pytest.approx(500, rel=1e-3)
    assert (row["port_web"], row["peer_inside"], row["source_inside"]) == (1, 0, 1)
    assert np.expm1(row["peer_asked"]) == pytest.approx(1)


def test_a_scan_does_not_push_out_who_comes_back() -> None:
    features = PairFeatures(512)
    calls = EventBatch.of([flow(1e9 + 1800.0 * number) for number in range(10)])
    features.learn(calls)
    scan = [flow(1e9 + 18_000 + row / 10, address="10.9.9.9", port=1 + row) for row in range(5000)]
    for start in range(0, 5000, 250):
        features.learn(EventBatch.of(scan[start : start + 250]))
    assert features.of(calls)[1][0].any()
